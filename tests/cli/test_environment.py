from __future__ import annotations

from tests.support.program import Program
from videostore.cli import environment
from videostore.ffmpeg.process import BINARY_VARIABLE


def test_the_help_lists_every_environment_variable(program: Program) -> None:
    listed = program("--help").out.partition("Environment variables:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(environment.VARIABLES)


def test_the_ffmpeg_is_named_by_the_variable_that_ffmpeg_reads() -> None:
    assert environment.FFMPEG == BINARY_VARIABLE
