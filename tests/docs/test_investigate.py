"""docs/guide/investigate.md and the command line say the same: keys of `--json`, exit codes."""

from __future__ import annotations

import ast

import pytest

from tests.support.documents import page, quoted, rows_below, section
from tests.support.statements import package_sources, written_keys
from videostore.cli import runtime


@pytest.fixture(scope="module")
def text() -> str:
    return section(page("guide/investigate"), "## Output for programs")


def key_differences(text: str, sources: dict[str, str]) -> set[str]:
    """Keys that the tables or the code alone has."""
    written = {key for source in sources.values() for key in written_keys(ast.walk(ast.parse(source)))}
    told = {word for row in rows_below(text, "key") for cell in row for word in quoted(cell)}
    return told ^ written


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {name: package_sources()[f"videostore/cli/{name}.py"] for name in ("state", "events", "verify")}


def test_keys_are_those_of_the_code(text: str, sources: dict[str, str]) -> None:
    assert key_differences(text, sources) == set()


def test_a_wrong_or_missing_key_is_noticed(text: str, sources: dict[str, str]) -> None:
    assert key_differences(text.replace("`oldest`", "`eldest`"), sources) == {"oldest", "eldest"}
    moon = sources["state"].replace('"quota_bytes":', '"moon_bytes":')
    assert key_differences(text, {**sources, "state": moon}) == {"quota_bytes", "moon_bytes"}


def test_exit_codes_are_those_of_the_code(text: str) -> None:
    codes = {runtime.DONE, runtime.FAILED, runtime.REFUSED, runtime.INCOMPLETE, runtime.INTERRUPTED}
    assert {int(row[0]) for row in rows_below(text, "exit code")} == codes
