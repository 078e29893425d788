"""Work that must be finished even if its caller is cancelled, and tasks that must end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")

_CANCEL_AGAIN_S = 1.0
_MOMENT_S = 0.5


async def finish_despite_cancellation(work: Awaitable[_T]) -> _T:
    """Wait for some work to finish, even while being cancelled; the cancellation takes effect afterwards.

    Returns the result of the work, or raises its error. If the caller was cancelled, both are dropped.
    """
    future = asyncio.ensure_future(work)
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        if not future.cancelled():
            future.exception()  # asyncio logs an error that is never retrieved
        raise asyncio.CancelledError
    return future.result()


async def known_outcome(work: Awaitable[_T], within_s: float = _MOMENT_S) -> _T:
    """The outcome of work that goes on if its caller is cancelled, such as that of `DetachedTasks` or of a thread.

    A caller that is cancelled still gets it if it comes within `within_s`, and the cancellation is dropped: what has
    been done can be told. Otherwise the cancellation takes effect.
    """
    future = asyncio.ensure_future(work)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait([future])
    except asyncio.CancelledError:
        await asyncio.wait([future], timeout=within_s)
        if not future.done():
            raise
    return future.result()


async def off_loop(work: Callable[..., _T], *arguments: Any) -> _T:
    """Run a blocking function in a thread of the loop's executor. A cancellation ends only the waiting."""
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)


async def wait_a_moment(work: Awaitable[object]) -> None:
    """Wait for some work that is better done, such as the removal of a file on a disk that may hang.

    After `_MOMENT_S` it goes on by itself. Its errors are dropped.
    """
    future = asyncio.ensure_future(work)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait([future], timeout=_MOMENT_S)


async def end_tasks_during(work: Coroutine[Any, Any, object], tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Do some work while tasks are cancelled, and wait until all of it has ended, even while being cancelled.

    Each cancellation is passed on to the tasks, which may have swallowed the one before, and dropped afterwards.
    """
    future, tasks = asyncio.ensure_future(work), list(tasks)
    waiting: set[asyncio.Future[Any]] = {future, *tasks}
    while waiting:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            waiting = (await asyncio.wait(waiting))[1]
    future.result()


async def run_in_thread(work: Callable[..., _T], *arguments: Any) -> _T:
    """Run a blocking function in a thread, and wait for it even while being cancelled.

    A thread cannot be stopped: when this returns, the files that it uses can be removed.
    """
    return await finish_despite_cancellation(asyncio.get_running_loop().run_in_executor(None, work, *arguments))


async def end_task(task: asyncio.Task[Any], again_s: float = _CANCEL_AGAIN_S) -> None:
    """Cancel a task, again every `again_s` seconds, and wait until it has ended.

    On Python before 3.12 `wait_for` may lose a cancellation, so one is not enough. This does not await the task itself:
    a cancellation of the task could not be distinguished from one of the caller.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=again_s)


class DetachedTasks:
    """Work that goes on when its caller is cancelled. The owner waits for all of it before it closes."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do some work in a task and return its result. If the caller is cancelled, only the waiting ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def wait(self) -> None:
        """Wait until all work has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)
