"""Request tasks: the work that clients wait for, which ends when its client stops waiting or when the store closes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from videostore.base.constants import CLOSE_SAVES_S
from videostore.base.errors import VideoStoreError
from videostore.base.lanes import Lane

_T = TypeVar("_T")


class RequestTasks:
    """Owns a task for each request in progress."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.lane = Lane()
        """Where requests do their blocking calls: those that a disk keeps waiting must not keep the upkeep waiting."""
        self.closing = False
        """Whether the store is closing. New requests are refused."""
        self.started = False
        """Whether the store can answer requests."""

    def check(self) -> None:
        """Refuse a request before the store has started or after it has closed.

        Raises:
            VideoStoreError: the store is not started, or closed.
        """
        if self.closing:
            raise closed_error()
        if not self.started:
            raise VideoStoreError("not-started")

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work of a request.

        Raises:
            VideoStoreError: the store closed before it was done.
        """
        if self.closing:
            work.close()
            raise closed_error()
        with self.lane.taken():
            task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if self.closing:
                raise closed_error() from None
            raise

    async def end(self) -> None:
        """Give requests in progress a moment to finish, then cancel them. The recording is complete by now."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SAVES_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def closed_error() -> VideoStoreError:
    """The error of a request that was not done when the store closed."""
    return VideoStoreError("closed")
