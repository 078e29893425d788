"""Turns: so many clips are made at a time, and the other requests wait, up to a bound."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from videostore.base.errors import RequestError

MOST_WAITING = 1000
"""A request that waits takes a few kilobytes of memory and nothing on disk. So many at once come from a client that
asks in a loop."""


class Turns:
    """Lets a few pieces of work run at a time, first come, first served."""

    def __init__(self, at_once: int, most_waiting: int = MOST_WAITING, within_s: float | None = None) -> None:
        """At most `most_waiting` wait, none longer than `within_s`; the others are refused."""
        self._running = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._within_s = within_s
        self.waiting = 0
        """How many wait now."""

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, which lasts as long as the context.

        Raises:
            RequestError: too many wait already, or its turn does not come in time.
        """
        if self.waiting >= self._most_waiting:
            raise RequestError("too-many-requests", limit=self._most_waiting)
        self.waiting += 1
        try:
            await asyncio.wait_for(self._running.acquire(), self._within_s)
        except asyncio.TimeoutError:
            raise RequestError("too-many-videos", limit=self._at_once) from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._running.release()
