from __future__ import annotations

import pytest

from videostore.cli.text import format_size, printable


def test_characters_that_show_nothing_become_question_marks() -> None:
    assert printable("door\x1b[2J\u202e\x9b\n") == "door?[2J???"
    assert printable("Gärten, 庭\nend", "\n") == "Gärten, 庭\nend"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")],
)
def test_a_size_has_the_largest_unit_of_which_there_is_one(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text
