"""The text of an error that another Python program sent, without the place in its code."""

from __future__ import annotations

import re

_WITH_PLACE = re.compile(r"(\w+) - (.*?) ?- file_name=.* func_name=.* line_num=\w+\.?", re.DOTALL)
"""`ValueError - no such pin - file_name='…' func_name='…' line_num=47`: how modules in Python report any exception."""


def plain_text(text: str) -> str:
    """What an error says: its message; only the name of its class if it has none. Other texts stay as they are."""
    found = _WITH_PLACE.fullmatch(text.strip())
    if found is None:
        return text
    return found[2].strip() or found[1]
