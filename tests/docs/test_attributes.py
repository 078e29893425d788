"""docs/reference/attributes.md and the code say the same: attributes, defaults, environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.documents import DOCUMENTS, json_blocks, page, quoted, rows_below
from tests.support.statements import package_sources
from videostore.config import ATTRIBUTES, WITHOUT_EFFECT, Config, parse_config

NO_VALUE = ("**required**", "see text", "first image")
"""What the table has in place of a default that is one value."""


@pytest.fixture(scope="module")
def text() -> str:
    return page("reference/attributes")


def known_attributes() -> set[str]:
    """The dotted name of every attribute."""
    objects = {name for name in ATTRIBUTES if name}
    return {f"{prefix}.{leaf}".lstrip(".") for prefix, leaves in ATTRIBUTES.items() for leaf in leaves} - objects


def attribute_differences(text: str) -> set[str]:
    """Attributes that the table or the code alone has, and those whose defaults differ."""
    table = {row[0].strip("`"): row[2].strip("`") for row in rows_below(text, "attribute")}
    differences = set(table) ^ (known_attributes() - set(WITHOUT_EFFECT))
    differences |= {name for name in WITHOUT_EFFECT if f"`{name}`" not in text}
    config, _ = parse_config("<name>", {"sync": "data-manager", "storage": {"size_gb": 1}, "web": {}})
    for name in set(table) & known_attributes():
        default = table[name].replace("~", str(Path.home())).replace("none", "None").replace("false", "False")
        if default not in NO_VALUE and str(_value(config, name)).removesuffix(".0") != default:
            differences.add(name)
    return differences


def _value(config: Config, name: str) -> object:
    value: object = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def variable_differences(text: str, sources: Mapping[str, str]) -> set[str]:
    """Environment variables that the table or the code alone has: every text in the code that is such a name."""
    named = re.compile(r"""["']((?:VIAM|VIDEOSTORE)_[A-Z_]*[A-Z])["']""")
    table = {name for row in rows_below(text, "variable") for name in quoted(row[0])}
    return table ^ {name for source in sources.values() for name in named.findall(source)}


def test_attributes_and_their_defaults_are_those_of_the_config(text: str) -> None:
    assert attribute_differences(text) == set()


def test_every_attribute_that_a_document_names_exists() -> None:
    for path in DOCUMENTS:
        named = {
            word
            for word in quoted(path.read_text(encoding="utf-8"))
            if re.fullmatch(r"(storage|video|web)\.[a-z_]+", word) and not word.endswith(".py")
        }
        assert named <= known_attributes(), path


def test_environment_variables_are_those_of_the_code(text: str) -> None:
    assert variable_differences(text, package_sources()) == set()


def test_the_configs_are_accepted_without_a_warning(text: str) -> None:
    smallest, source, served, module = json_blocks(text)
    for attributes in (smallest, source, served):
        assert parse_config("recorder", attributes)[1] == []
    assert module["type"] == "local"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r"^\| `storage.size_gb` .*\n", "", "storage.size_gb"),
        (r"^\| `video.preset` ", "| `video.speed` ", "video.speed"),
        (r"(?<=`framerate` \| whole number \| )20", "25", "framerate"),
        ("`yuyv`", "`yuv`", "yuyv"),
    ],
)
def test_a_wrong_attribute_is_noticed(old: str, new: str, told: str, text: str) -> None:
    changed = re.sub(old, new, text, flags=re.MULTILINE)
    assert changed != text and told in attribute_differences(changed)


def test_an_attribute_that_the_page_lacks_is_noticed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ATTRIBUTES, "video", (*ATTRIBUTES["video"], "moon"))
    assert "video.moon" in attribute_differences(text)


def test_a_variable_that_only_one_of_the_two_has_is_noticed(text: str) -> None:
    renamed = text.replace("VIDEOSTORE_FFMPEG", "VIDEOSTORE_BINARY")
    assert {"VIDEOSTORE_FFMPEG", "VIDEOSTORE_BINARY"} <= variable_differences(renamed, package_sources())
    assert "VIDEOSTORE_MOON" in variable_differences(text, {"moon.py": "MOON = 'VIDEOSTORE_MOON'", **package_sources()})
