"""The command lines of the documents: the program takes each as it stands."""

from __future__ import annotations

import functools
import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.support.checkout import ROOT
from tests.support.documents import DOCUMENTS, blocks, page, quoted
from videostore.cli.app import PROGRAM, _UsageError, app

OPERATORS = {"|", ">", ">>", "&&", ";"}
NO_COMMANDS = {"damaged": "begins the tag of a segment"}
CHANGELOG = ROOT / "CHANGELOG.md"
"""It names what is gone."""


@functools.cache
def commands() -> dict[str, Any]:
    """The commands of the program by their names."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def lines_of(text: str) -> list[list[str]]:
    """The words behind the name of the program, of each time that a block calls it."""
    found = []
    for block in [*blocks(text, "sh"), *blocks(text, "ini")]:
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("ExecStart="), comments=True)
            for start, word in enumerate(words):
                if word.rpartition("/")[2] == PROGRAM:
                    found.append(list(itertools.takewhile(lambda one: one not in OPERATORS, words[start + 1 :])))
                    break
    return [words for words in found if words and not words[0].startswith("-")]


def mistake(words: list[str]) -> str | None:
    """Why the program does not take a command line; None if it does. Nothing of it is run."""
    if words[0] not in commands():
        return f"There is no command {words[0]}."
    try:
        with commands()[words[0]].make_context(words[0], words[1:]):
            return None
    except _UsageError as error:
        return str(error)


def unknown_options(text: str) -> list[str]:
    """Options behind the name of a command, within a sentence, that the command does not have."""
    unknown = []
    for code in quoted(text):
        name, *words = code.removeprefix(f"{PROGRAM} ").split() if code.startswith(f"{PROGRAM} ") else [""]
        if not re.fullmatch(r"[a-z-]+", name) or name.startswith("-") or name in NO_COMMANDS:
            continue
        if name not in commands():
            unknown.append(code)
            continue
        known = {
            option for parameter in commands()[name].params for option in [*parameter.opts, *parameter.secondary_opts]
        }
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        unknown += [f"{name} {option}" for option in sorted(given - known - {"--help"})]
    return unknown


@pytest.mark.parametrize(
    "path", [one for one in DOCUMENTS if lines_of(one.read_text(encoding="utf-8"))], ids=lambda path: path.name
)
def test_each_is_taken(path: Path) -> None:
    for words in lines_of(path.read_text(encoding="utf-8")):
        assert mistake(words) is None, words


@pytest.mark.parametrize("path", [one for one in DOCUMENTS if one != CHANGELOG], ids=lambda path: path.name)
def test_what_a_sentence_names_exists(path: Path) -> None:
    assert unknown_options(path.read_text(encoding="utf-8")) == []


def test_a_wrong_one_is_noticed() -> None:
    text = page("guide/investigate")
    assert len(lines_of(text)) > 10
    assert (
        mistake(["export", "02:50", "--moon", "full"])
        and mistake(["snapshot"])
        and mistake(["moon"])
        and not mistake(["state"])
    )
    assert unknown_options(f"{text}\n`videostore export --moon` `videostore moon`") == [
        "export --moon",
        "videostore moon",
    ]
