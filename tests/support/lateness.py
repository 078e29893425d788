"""How late this machine is: what a promise in seconds may be late for reasons that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

_EVERY_S = 0.02


class Lateness:
    """The latest that a task was woken which asks for nothing else: some milliseconds on a machine that is not busy."""

    def __init__(self) -> None:
        self._latest_us = 0
        self._due: float | None = None

    @property
    def us(self) -> int:
        """So far. Where the task is late at this moment, that counts already."""
        return self._latest_us if self._due is None else max(self._latest_us, self._overdue_us(self._due))

    async def watch(self) -> None:
        """Be woken again and again."""
        try:
            while True:
                self._due = time.monotonic() + _EVERY_S
                await asyncio.sleep(_EVERY_S)
                self._latest_us = self.us
        finally:
            self._latest_us, self._due = self.us, None

    @staticmethod
    def _overdue_us(due: float) -> int:
        return round((time.monotonic() - due) * 1_000_000)


@contextlib.asynccontextmanager
async def watching_lateness() -> AsyncIterator[Lateness]:
    """Watch the event loop of the test. The other processes of a test wait for the same cores."""
    found = Lateness()
    task = asyncio.create_task(found.watch())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
