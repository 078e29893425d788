"""Lets arguments such as `-5m` pass the parser, which would take them for options."""

from __future__ import annotations

import re
from collections.abc import Sequence

_RELATIVE = re.compile(r"-\s*[0-9.]")


def escape_relative_times(arguments: Sequence[str]) -> list[str]:
    """The arguments, with a space before each that looks like `-5m`. `unescape` removes it again."""
    return [f" {argument}" if _RELATIVE.match(argument) else argument for argument in arguments]


def unescape(argument: str) -> str:
    """The argument as the user wrote it."""
    return argument[1:] if argument.startswith(" ") and _RELATIVE.match(argument[1:]) else argument
