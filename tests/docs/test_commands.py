"""docs/reference/commands.md and videostore/viam/commands.py say the same: commands, fields, keys of the responses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.command_fields import command_keys, commands_source
from tests.support.documents import headings, json_blocks, page, quoted, rows_below, section
from tests.support.recording import START_US, US, Stores, until
from videostore.base.time_format import format_utc_exact
from videostore.viam import commands

SHARED = "Timestamps and ranges"


@pytest.fixture(scope="module")
def text() -> str:
    return page("reference/commands")


@pytest.fixture(scope="module")
def source() -> str:
    return commands_source()


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return {*value, *(key for one in value.values() for key in _keys(one))}
    return {key for one in value for key in _keys(one)} if isinstance(value, list) else set()


def command_differences(text: str, source: str) -> set[str]:
    """Commands, fields and keys of responses that the page or the code alone has."""
    handled = command_keys(source)
    described = set(headings(text, 2)) - {SHARED}
    differences = described ^ set(handled) | set(handled) ^ set(commands.NAMES)
    examples: dict[str, set[str]] = {}
    for block in json_blocks(text):
        examples.setdefault(block["command"], set()).update(_keys(block))
    differences |= examples.keys() - handled.keys()
    shared = section(text, f"## {SHARED}")
    for name in handled.keys() & described:
        fields, keys = handled[name]
        own = section(text, f"## {name}")
        told = {word for row in (*rows_below(own, "field"), *_keys_of_response(own)) for word in quoted(row[0])}
        told |= examples.get(name, set())
        inline = {*quoted(own + shared), *re.findall(r'"([a-z_]+)":', own + shared)}
        differences |= {f"{name}: {key}" for key in told - fields - keys}
        differences |= {f"{name}: {key}" for key in (fields | keys) - told - inline}
    return differences


def _keys_of_response(text: str) -> list[list[str]]:
    return rows_below(text, "key of the response")


def test_commands_their_fields_and_responses_are_those_of_the_code(text: str, source: str) -> None:
    assert command_differences(text, source) == set()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r"^## get-save-status$", "## save-status", "get-save-status"),
        (r"^\| `async` \|.*\n", "| `later` | true or false | |\n", "save: later"),
        (r"^\| `status` \|", "| `state` |", "get-save-status: state"),
        (r"`container`", "`format`", "fetch: container"),
        (r'"disk_usage"', '"usage"', "get-storage-state: usage"),
    ],
)
def test_a_wrong_command_is_noticed(old: str, new: str, told: str, text: str, source: str) -> None:
    changed = re.sub(old, new, text, flags=re.MULTILINE)
    assert changed != text and told in command_differences(changed, source)


async def test_each_example_is_answered_as_it_says(text: str, stores: Stores, recording: Path) -> None:
    """With other times, which are those of a recording, and what the command before it gave."""
    store = await stores.over(recording)
    taken = {"from": exact(1), "to": exact(5), "at": exact(2)}
    blocks = json_blocks(text)
    for asked, told in zip(blocks[::2], blocks[1::2], strict=True):
        given = {name: taken.get(name, value) for name, value in asked.items()}
        if "ranges" in told:
            given["from"] = exact(-20)
        answer = await commands.execute(store, given)
        assert answer.keys() >= told.keys() - {"damaged"}, (asked, answer)
        for name in ("id", "filename"):
            taken |= {name: answer[name]} if name in answer else {}
        if asked.get("async"):
            await until(lambda: not store.health().pending_saves)


def exact(seconds: float) -> str:
    return format_utc_exact(START_US + round(seconds * US))


def test_a_field_or_key_that_the_page_lacks_is_noticed(text: str, source: str) -> None:
    field = source.replace('_optional(command, "async"', '_optional(command, "moon"')
    assert "save: moon" in command_differences(text, field)
    key = re.sub(r'(?<=\[)"status"(?=\] = )', '"moon"', source)
    assert "save: moon" in command_differences(text, key)
