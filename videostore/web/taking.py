"""What a viewer takes: an answer is sent for as long as enough of it is taken, which may be little."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from videostore.base.tasks import end_task

WITHIN_S = 60.0
LEAST_BYTES = 65_536
"""A viewer that takes less in that time, 9 kbit/s, has gone, has paused, or holds a place that others could use:
players ask again. How soon the next block can be sent says little: the system takes megabytes at a time, which take a
bad line an hour."""
_LOOKS = 12
"""So often it is looked at in that time."""
_ACKED = 120
"""Where Linux tells in `struct tcp_info` how many bytes were acknowledged, since 4.1."""


async def taken(request: web.Request, sending: Coroutine[Any, Any, None]) -> None:
    """Await that something is sent, for as long as the viewer takes enough of it, or of what was sent before.

    Raises:
        asyncio.TimeoutError: it took less than `LEAST_BYTES` in `WITHIN_S`.
    """
    task = asyncio.ensure_future(sending)
    try:
        before, looks = _taken_bytes(request), 0
        while not (await asyncio.wait([task], timeout=WITHIN_S / _LOOKS))[0]:
            now, looks = _taken_bytes(request), looks + 1
            if now - before >= LEAST_BYTES:
                before, looks = now, 0
            elif looks >= _LOOKS:  # counted, not timed: a machine that is busy looks late, and gives up no one for it
                raise asyncio.TimeoutError
        task.result()
    finally:
        await end_task(task)
        if not task.cancelled():
            task.exception()  # asyncio logs an error that is never retrieved


def _taken_bytes(request: web.Request) -> int:
    """How much of all that was sent on its connection the viewer's system has confirmed; 0 if ours does not tell."""
    transport = request.transport
    of_connection = None if transport is None else transport.get_extra_info("socket")
    if of_connection is not None and sys.platform == "linux":
        with contextlib.suppress(OSError, struct.error):
            told = of_connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED + 8)
            return int(struct.unpack_from("=Q", told, _ACKED)[0])
    return 0
