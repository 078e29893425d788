from __future__ import annotations

import pytest

from videostore.cli.text import format_size, printable_lines


def test_what_would_control_a_terminal_is_escaped_except_for_line_breaks() -> None:
    assert printable_lines("door\x1b[2J\u202e\r\nend") == r"door\x1b[2J\u202e\r" + "\nend"
    assert printable_lines("Gärten, 庭\n") == "Gärten, 庭\n"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")],
)
def test_a_size_has_the_largest_unit_of_which_there_is_one(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text
