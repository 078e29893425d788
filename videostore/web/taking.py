"""What a viewer takes: an answer is sent for as long as something of it is taken, however slowly."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from videostore.base.tasks import end_task

WITHIN_S = 60.0
"""A viewer that takes nothing for so long has gone, or has paused: players ask again. Bad lines pause for less. How
soon the next block can be sent says little: the system takes megabytes at a time, which take a bad line an hour."""
_LOOKS = 12
"""So often it is looked at in that time."""


async def taken(request: web.Request, sending: Coroutine[Any, Any, None]) -> None:
    """Await that something is sent, for as long as the viewer takes of it, or of what was sent before.

    Raises:
        asyncio.TimeoutError: it took nothing for `WITHIN_S`.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(sending)
    try:
        left_bytes, until_s = -1, 0.0
        while not (await asyncio.wait([task], timeout=WITHIN_S / _LOOKS))[0]:
            now_bytes = _left_bytes(request)
            if now_bytes != left_bytes:
                left_bytes, until_s = now_bytes, loop.time() + WITHIN_S
            elif loop.time() > until_s:
                raise asyncio.TimeoutError
        task.result()
    finally:
        await end_task(task)
        if not task.cancelled():
            task.exception()  # asyncio logs an error that is never retrieved


def _left_bytes(request: web.Request) -> int:
    """How much is on its way to the viewer: what it has not confirmed, and what waits to be sent."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return 0
    left_bytes: int = transport.get_write_buffer_size()
    socket = transport.get_extra_info("socket")
    with contextlib.suppress(OSError, ValueError):
        asked = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4))
        left_bytes += int(struct.unpack("i", asked)[0])
    return left_bytes
