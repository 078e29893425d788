"""`videostore web`: shows storage directories in a browser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from videostore.base.errors import RequestError
from videostore.cli import terminal
from videostore.cli.runtime import DONE
from videostore.web.app import make_app
from videostore.web.recorders import RecorderPlace, Recorders
from videostore.web.server import lower_priority, serve

_HIGHEST_PORT = 65535


def parse_port(text: str) -> int:
    """The port that an option names; 0 is any free one.

    Raises:
        RequestError: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_HIGHEST_PORT)) and int(text) <= _HIGHEST_PORT):
        raise RequestError("option-wrong", field="--port", value=text, expected=f"a port from 0 to {_HIGHEST_PORT}")
    return int(text)


async def web(directories: Sequence[Path], host: str, port: int) -> int:
    """Serve until the user ends it, which is no failure."""
    lower_priority()
    recorders = Recorders()
    for directory in directories:
        recorders.add(RecorderPlace(directory.name or "recording", directory))
    async with serve(make_app(recorders), host, port) as url:
        terminal.print_result(url)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    return DONE
