"""The time limit of work on a disk: it may take as long as it moves on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

_LEAVE_S = 1.0
"""How long work that is cancelled may take to end. A thread or a process that hangs in a system call does not end."""


class StalledError(Exception):
    """Nothing has moved for too long."""


class StallLimit:
    """Ends pieces of work, of which only some run at a time, when none of them has moved on for too long."""

    def __init__(self) -> None:
        self._moved_at = 0.0
        self._left: set[asyncio.Task[Any]] = set()

    def moved(self) -> None:
        """Some of the work has moved on."""
        self._moved_at = asyncio.get_running_loop().time()

    def follow(self) -> _Follower:
        """What a piece of work reports its progress to."""
        return _Follower(self)

    async def run(self, work: Coroutine[Any, Any, _T], limit_s: float) -> _T:
        """Do some work. A caller that is cancelled gets its result if it cannot be undone any more.

        Raises:
            StalledError: nothing has moved for `limit_s`. Work that cannot be stopped is left to itself.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        task = asyncio.ensure_future(work)
        task.add_done_callback(_take_error)
        try:
            while not task.done():
                left_s = max(began, self._moved_at) + limit_s - loop.time()
                if left_s <= 0:
                    raise StalledError
                await asyncio.wait([task], timeout=left_s)
        except BaseException as error:
            await self._leave(task)
            if isinstance(error, StalledError) or not _succeeded(task):
                raise
        self.moved()
        return task.result()

    async def _leave(self, task: asyncio.Task[Any]) -> None:
        if task.done():
            return
        task.cancel()
        self._left.add(task)
        task.add_done_callback(self._left.discard)
        await asyncio.wait([task], timeout=_LEAVE_S)


def _succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _take_error(task: asyncio.Task[Any]) -> None:
    """asyncio logs an error that nothing takes, such as when the caller is cancelled at that moment."""
    if not task.cancelled():
        task.exception()


class _Follower:
    """Reports progress to a limit, but not the same progress twice."""

    def __init__(self, limit: StallLimit) -> None:
        self._limit = limit
        self._share = -1.0

    def __call__(self, share: float) -> None:
        if share > self._share:
            self._share = share
            self._limit.moved()
