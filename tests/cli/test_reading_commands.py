from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from videostore.cli import reading_commands
from videostore.cli.options import Storage
from videostore.cli.runtime import EXIT_CODES, INCOMPLETE


@pytest.mark.parametrize(
    "command",
    [reading_commands.state, reading_commands.export, reading_commands.play, reading_commands.verify],
    ids=lambda command: str(command.__name__),
)
def test_every_command_that_reads_a_directory_finds_it_in_the_same_way(command: Callable[..., Any]) -> None:
    parameter = inspect.signature(command, eval_str=True).parameters["storage"]
    assert (parameter.annotation, parameter.default) == (Storage, None)


def test_only_what_makes_a_clip_can_be_incomplete() -> None:
    assert set(EXIT_CODES) - set(reading_commands.ALWAYS_COMPLETE) == {INCOMPLETE}
