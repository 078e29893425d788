"""The README: as short as promised, and its examples work."""

from __future__ import annotations

import json

from tests.support.checkout import ROOT
from tests.support.documents import README, blocks, json_blocks, section
from videostore.config import parse_config
from videostore.viam import commands

LINES = 150
TEXT = README.read_text(encoding="utf-8")


def test_it_fits_two_screens() -> None:
    assert len(TEXT.splitlines()) <= LINES


def test_it_has_ten_limits_and_eight_lines_of_library() -> None:
    numbered = [line for line in section(TEXT, "## Limits").splitlines() if line[:1].isdigit()]
    assert len(numbered) == 10
    (program,) = blocks(section(TEXT, "## Library"), "python")
    assert len([line for line in program.splitlines() if line.strip()]) == 8


def test_its_config_and_that_of_the_example_are_accepted_without_a_warning() -> None:
    machines = [json.loads((ROOT / "examples" / "machine.json").read_text(encoding="utf-8"))]
    for path in (README, ROOT / "docs" / "guide" / "install.md"):
        machines += [block for block in json_blocks(path.read_text(encoding="utf-8")) if "components" in block]
    assert len(machines) == 3
    recorders = [
        [part for part in machine["components"] if part["model"] == "viam:video:storage"] for machine in machines
    ]
    assert [len(found) for found in recorders] == [2, 1, 1]
    for recorder in (one for found in recorders for one in found):
        assert parse_config(recorder["name"], recorder["attributes"])[1] == []


def test_its_commands_exist() -> None:
    sent = [block["command"] for block in json_blocks(section(TEXT, "## Use"))]
    assert sent and set(sent) <= set(commands.NAMES)
