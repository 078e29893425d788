from __future__ import annotations

import pytest

from videostore.base.error_text import plain_text

PLACE = " - file_name='/opt/module/camera.py' func_name='do_command' line_num=47"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (f"ValueError - no such pin{PLACE}", "no such pin"),
        (f"ValueError - no such pin{PLACE}.", "no such pin"),
        (f"ValueError - two\nlines - of text{PLACE}", "two\nlines - of text"),
        (f"NotImplementedError - {PLACE}", "NotImplementedError"),
        (f"KeyError - 'x'{PLACE.replace('47', 'None')}", "'x'"),
        ("The lens is covered.", "The lens is covered."),
        ("a - b", "a - b"),
        ("", ""),
    ],
)
def test_only_what_an_error_says_is_left(text: str, plain: str) -> None:
    assert plain_text(text) == plain
