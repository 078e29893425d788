"""The containers of clips."""

from __future__ import annotations

from videostore.base.errors import RequestError

DEFAULT_CONTAINER = "mp4"
CONTAINERS = (DEFAULT_CONTAINER, "fmp4")
"""A plain MP4, and a fragmented one, which can be played while it arrives."""


def check_container(container: str) -> str:
    """The container, if there is one with this name, in capitals or not.

    Raises:
        RequestError: there is none.
    """
    named = str(container).lower()
    if named not in CONTAINERS:
        expected = f"one of {', '.join(CONTAINERS)}"
        raise RequestError("field-wrong", field="container", value=container, expected=expected)
    return named
