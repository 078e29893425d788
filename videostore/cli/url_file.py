"""The input of `videostore record`: named as an argument, or in a file that other users cannot read."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from videostore.base.errors import RequestError, reason_of

_STANDARD_INPUT = "-"
_MAX_BYTES = 8192
"""No URL is longer; a file that is something else is not read to its end."""


def named_input(argument: str | None, url_file: str | None) -> str:
    """The input that one of the two names. Blocking.

    Raises:
        RequestError: both or none of them were given, or the file cannot be read or holds no URL.
    """
    if (argument is None) == (url_file is None):
        raise RequestError("input-twice")
    return argument if url_file is None else _read_url(url_file)  # type: ignore[return-value]


def _read_url(name: str) -> str:
    try:
        with contextlib.ExitStack() as stack:
            path = Path(name).expanduser()
            file = sys.stdin.buffer if name == _STANDARD_INPUT else stack.enter_context(path.open("rb"))
            line = file.readline(_MAX_BYTES + 1)
    except (OSError, RuntimeError, ValueError, AttributeError) as error:
        raise _unusable(name, reason_of(error)) from error
    try:
        url = line.decode().strip().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _unusable(name, "it is no text") from error
    if len(line) > _MAX_BYTES:
        raise _unusable(name, "its first line is too long")
    if not url:
        raise _unusable(name, "its first line is empty")
    return url


def _unusable(name: str, reason: str) -> RequestError:
    return RequestError("input-url-file", path=name, reason=reason)
