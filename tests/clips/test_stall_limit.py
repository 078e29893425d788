from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from videostore.clips.stall_limit import StalledError, StallLimit


async def forever() -> None:
    await asyncio.Event().wait()


def cancel_in_the_turn_after_next(task: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: loop.call_soon(lambda: task.cancel()))


async def test_work_that_ends_gives_its_result_or_its_error() -> None:
    async def fail() -> None:
        raise KeyError("x")

    limit = StallLimit()
    assert await limit.run(asyncio.sleep(0, "done"), 60) == "done"
    with pytest.raises(KeyError):
        await limit.run(fail(), 60)


async def test_work_that_stands_still_is_ended() -> None:
    limit, ended = StallLimit(), asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            ended.set()

    with pytest.raises(StalledError):
        await limit.run(work(), 0.05)
    assert ended.is_set()


async def test_work_that_moves_on_may_take_longer_and_so_may_what_waits_for_it() -> None:
    limit = StallLimit()

    async def move() -> str:
        progress = limit.follow()
        for step in range(20):
            await asyncio.sleep(0.05)
            progress(step / 20)
        return "moved"

    async def wait(moving: asyncio.Future[str]) -> str:
        return await moving

    moving = asyncio.ensure_future(limit.run(move(), 0.6))
    assert await limit.run(wait(moving), 0.6) == "moved"


async def test_the_same_progress_again_is_none() -> None:
    limit = StallLimit()

    async def repeat() -> None:
        progress = limit.follow()
        while True:
            progress(0.5)
            await asyncio.sleep(0.01)

    with pytest.raises(StalledError):
        await limit.run(repeat(), 0.3)


async def test_what_cannot_be_ended_is_left_to_itself() -> None:
    """As a program that hangs in a system call."""
    limit, go = StallLimit(), threading.Event()

    async def stubborn() -> None:
        waiting = asyncio.get_running_loop().run_in_executor(None, go.wait)
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:
                continue

    with pytest.raises(StalledError):
        await limit.run(stubborn(), 0.05)
    go.set()


async def test_a_caller_that_is_cancelled_ends_the_work() -> None:
    limit, ended = StallLimit(), asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            ended.set()

    running = asyncio.create_task(limit.run(work(), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_a_caller_that_is_cancelled_gets_the_result_of_work_that_cannot_be_undone() -> None:
    async def work() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            return "done"
        raise AssertionError

    running = asyncio.create_task(StallLimit().run(work(), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    assert await running == "done"


async def test_an_error_at_the_moment_of_a_cancellation_is_not_logged_by_asyncio() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    go = asyncio.Event()

    async def fail() -> None:
        await go.wait()
        raise KeyError("x")

    running = asyncio.create_task(StallLimit().run(fail(), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cancel_in_the_turn_after_next(running)
    go.set()
    await asyncio.wait([running])
    assert running.cancelled()
    del running
    gc.collect()
    assert not reported
