"""Lanes: how many threads of a process the work of one recorder may take, so that others get theirs.

A call that waits for a disk that hangs keeps its thread, also when its caller has given up. Without lanes, requests to
one recorder whose disk hangs would take all threads of the process, one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

_T = TypeVar("_T")

MOST_AT_ONCE = 8
"""Threads of one lane. A recorder without trouble seldom has three calls at once."""
_MOST_THREADS = 1000
"""Of a process. They are started when they are needed: lanes are what bounds them."""
_LOOKED_THROUGH = 64
"""So many waiting calls are not looked through for those whose callers have given up."""

_lane: ContextVar[Lane | None] = ContextVar("lane", default=None)


class Lane:
    """The calls of a recorder that need a thread. So many run at once, and the others wait their turn."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._look_through_at = _LOOKED_THROUGH

    def __len__(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Let the calls of this context, and of the tasks that it starts, take this lane."""
        token = _lane.set(self)
        try:
            yield
        finally:
            _lane.reset(token)

    def submit(self, start: Callable[[Callable[[], None]], object], work: Callable[[], _T]) -> Future[_T]:
        """Do some work as soon as there is room. `start` runs a function in a thread."""
        future: Future[_T] = Future()
        with self._lock:
            self._waiting.append((future, work))
            if self._running >= self._most:
                self._forget_cancelled()
                return future
            self._running += 1
        try:
            start(self._run)
        except BaseException:
            with self._lock:
                self._running -= 1
            future.cancel()
            raise
        return future

    def _forget_cancelled(self) -> None:
        """A caller that gives up asks again: what waits must not grow by that."""
        if len(self._waiting) >= self._look_through_at:
            self._waiting = deque(one for one in self._waiting if not one[0].cancelled())
            self._look_through_at = max(_LOOKED_THROUGH, 2 * len(self._waiting))

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                future, work = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                _do(future, work)
            del future, work  # a result may be large


class LanedThreads(ThreadPoolExecutor):
    """The threads of a process. A call takes the lane of the context that it comes from, if that has one."""

    def __init__(self, most: int = _MOST_THREADS) -> None:
        super().__init__(most, "videostore")

    def submit(self, work: Callable[..., _T], /, *arguments: Any, **named: Any) -> Future[_T]:
        """Run a function in a thread."""
        lane = _lane.get()
        if lane is None:
            return super().submit(work, *arguments, **named)
        return lane.submit(super().submit, lambda: work(*arguments, **named))


def use_lanes() -> None:
    """Let the running loop do its blocking calls in lanes."""
    asyncio.get_running_loop().set_default_executor(LanedThreads())


def take_lane(lane: Lane | None) -> None:
    """Let the calls of the current task take a lane from now on, or none."""
    _lane.set(lane)


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 (who waits for the result gets it)
        future.set_exception(error)
    else:
        future.set_result(result)
