"""How late this machine is: what a promise in seconds may be late for reasons that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

_EVERY_S = 0.02


@dataclass
class Lateness:
    """The latest that a task was woken which asks for nothing else: some milliseconds on a machine that is not busy."""

    us: int = 0


@contextlib.asynccontextmanager
async def watching_lateness() -> AsyncIterator[Lateness]:
    """Watch the event loop of the test. The other processes of a test wait for the same cores."""
    found = Lateness()

    async def watch() -> None:
        while True:
            due = time.monotonic() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            found.us = max(found.us, round((time.monotonic() - due) * 1_000_000))

    task = asyncio.create_task(watch())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
