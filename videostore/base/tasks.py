"""Outlasting: how what must be done at an end is done, however often its task is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from typing import TypeVar

_T = TypeVar("_T")


async def finish_despite_cancellation(work: asyncio.Future[_T]) -> _T:
    """The result of a future that is waited for to its end, even while being cancelled; that takes effect then."""
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        if not work.cancelled():
            work.exception()  # nobody asks for it any more
        raise asyncio.CancelledError
    return work.result()


_CANCEL_AGAIN_S = 1.0


async def end_task(task: asyncio.Task[None], again_s: float = _CANCEL_AGAIN_S) -> None:
    """Cancel a task until it has ended: on Python before 3.12 `wait_for` may lose a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=again_s)
