"""docs/reference/camera-api.md and the code say the same: keys of the status, and the methods."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.documents import page, quoted, rows_below
from tests.support.statements import package_sources, written_keys
from videostore.viam.camera import StorageCamera

KEYS = "key of `get_status`"
NOT_METHODS_OF_A_CAMERA = frozenset(
    {
        "adopt",
        "answer",
        "close",
        "do_command",
        "forget",
        "new",
        "of_config",
        "parse",
        "prepare",
        "start",
        "use_web",
        "validate_config",
    }
)


@pytest.fixture(scope="module")
def text() -> str:
    return page("reference/camera-api")


@pytest.fixture(scope="module")
def source() -> str:
    return package_sources()["videostore/viam/commands.py"]


def status_differences(text: str, source: str) -> set[str]:
    """Keys of `get_status` that the page or the code alone has."""
    functions = [one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.FunctionDef)]
    nodes = [node for one in functions if one.name == "describe_health" for node in ast.walk(one)]
    written = written_keys(nodes)
    rows = rows_below(text, KEYS)
    listed = {key for row in rows for key in quoted(row[0])}
    inside = {key for row in rows for key in quoted(row[1])}
    return (listed - written) | (written - listed - inside)


def test_keys_of_the_status_are_those_of_the_code(text: str, source: str) -> None:
    assert status_differences(text, source) == set()


def test_methods_are_those_of_the_camera(text: str) -> None:
    methods = {name for name, value in vars(StorageCamera).items() if callable(value) and not name.startswith("_")}
    methods |= {
        name for name, value in vars(StorageCamera).items() if isinstance(value, classmethod) and name[0] != "_"
    }
    assert {row[0].strip("`") for row in rows_below(text, "method")} == methods - NOT_METHODS_OF_A_CAMERA


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [(r"^\| `dropped_frames` .*\n", "", "dropped_frames"), (r"(?=^\| `reason` )", "| `mood` | Good. |\n", "mood")],
)
def test_a_wrong_key_is_noticed(old: str, new: str, told: str, text: str, source: str) -> None:
    changed = re.sub(old, new, text, flags=re.MULTILINE)
    assert changed != text and told in status_differences(changed, source)


def test_a_key_that_the_page_lacks_is_noticed(text: str, source: str) -> None:
    assert "moon" in status_differences(text, source.replace('"pending_saves":', '"moon":'))
