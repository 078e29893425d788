"""Requests: what clients wait for, in tasks that end with whoever asked or with the store, whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from videostore.base.constants import CLOSE_SAVES_S
from videostore.base.errors import VideoStoreError

_T = TypeVar("_T")


class Requests:
    """Owns a task for each request that is under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.closing = False
        """Whether the store is being closed: nothing new is begun."""
        self.started = False
        """Whether the store can answer."""

    def check(self) -> None:
        """Refuse a request that comes too early or too late.

        Raises:
            VideoStoreError: the store is not started yet, or closed.
        """
        if self.closing:
            raise self.closed()
        if not self.started:
            raise VideoStoreError("The store is not started yet: enter it with `async with`, or await its start().")

    async def attend(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do a request's work.

        Raises:
            VideoStoreError: the store was closed before it was done.
        """
        if self.closing:
            work.close()
            raise self.closed()
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if self.closing:
                raise self.closed() from None
            raise

    async def end(self) -> None:
        """Let what clients wait for come to its end, for a moment; the recording is complete by now."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SAVES_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    def closed() -> VideoStoreError:
        """What is said to whom the end of the store leaves without an answer."""
        return VideoStoreError("The recorder was closed before the request was done: ask again.")
