from __future__ import annotations

import pytest

from videostore.cli.arguments import escape_relative_times, unescape


@pytest.mark.parametrize(
    "text", ["-5m", "-1h30m", "-90s", "-2d", "- 5 m", "-.5h", "-1hour", "-o", "--all", "now", " x"]
)
def test_an_escaped_argument_is_unescaped_to_what_it_was(text: str) -> None:
    (escaped,) = escape_relative_times([text])
    assert unescape(escaped) == text
    assert escaped.startswith("-") == (text in ("-o", "--all"))
