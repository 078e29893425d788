from __future__ import annotations

import pytest

from tests.support.program import Program


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mark", "now", "door", "--before", "soon"], "--before is 'soon'"),
        (["mark", "at noon", "door"], "AT is not a valid time"),
        (["unmark", "first"], "ID is 'first'. It must be a whole number."),
        (["events", "--since", "lately"], "--since is not a valid time"),
    ],
)
def test_wrong_arguments_are_a_sentence(program: Program, arguments: list[str], words: str) -> None:
    done = program(*arguments)
    assert done.code == 2 and words in done.sentence
