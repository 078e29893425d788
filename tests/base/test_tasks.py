from __future__ import annotations

import asyncio
import threading

import pytest

from videostore.base.tasks import (
    DetachedTasks,
    end_task,
    end_tasks_during,
    finish_despite_cancellation,
    known_outcome,
    off_loop,
    run_in_thread,
    wait_a_moment,
)


async def test_it_waits_to_the_end_however_often_it_is_cancelled() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(finish_despite_cancellation(work))
    for _ in range(5):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0.01)
    assert not waiting.done() and not work.cancelled()
    work.set_result(1)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_without_a_cancellation_the_result_or_the_error_is_passed_on() -> None:
    loop = asyncio.get_running_loop()
    assert await finish_despite_cancellation(loop.run_in_executor(None, lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        await finish_despite_cancellation(loop.run_in_executor(None, lambda: 1 // 0))


async def test_a_thread_is_waited_for_even_if_its_caller_is_cancelled() -> None:
    begun, go_on, done = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(150)
        done.set()

    waiting = asyncio.create_task(run_in_thread(work))
    await begun.wait()
    waiting.cancel()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done.is_set()


async def test_a_thread_returns_its_result_or_its_error() -> None:
    assert await run_in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(divmod, 7, 0)


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    cancellations = 0

    async def stubborn() -> None:
        nonlocal cancellations
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancellations += 1
                if cancellations == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end_task(task, again_s=0.001)
    assert task.cancelled() and cancellations == 3


async def test_ending_a_task_that_has_ended_does_nothing() -> None:
    task = asyncio.create_task(asyncio.sleep(0, "result"))
    assert await task == "result"
    await end_task(task)
    assert not task.cancelled()


async def test_work_goes_on_when_its_caller_is_cancelled_and_its_owner_waits_for_it() -> None:
    detached, go_on, done = DetachedTasks(), asyncio.Event(), []

    async def work() -> None:
        await go_on.wait()
        done.append(True)

    calling = asyncio.create_task(detached.run(work()))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    waiting = asyncio.create_task(detached.wait())
    await asyncio.sleep(0.01)
    assert not waiting.done() and not done
    go_on.set()
    await waiting
    assert done == [True]


async def test_detached_work_returns_its_result_or_its_error() -> None:
    detached = DetachedTasks()
    assert await detached.run(asyncio.sleep(0, 7)) == 7

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await detached.run(fail())
    await detached.wait()


async def test_a_moment_is_waited_for_what_is_better_done_and_its_errors_are_dropped() -> None:
    release = threading.Event()
    try:
        await wait_a_moment(off_loop(release.wait))  # as a disk that hangs
    finally:
        release.set()
    done: list[int] = []
    await wait_a_moment(off_loop(done.append, 1))
    assert done == [1]

    def fail() -> None:
        raise OSError("the disk failed")

    await wait_a_moment(off_loop(fail))


async def test_work_is_done_to_its_end_while_a_task_ends_slowly_and_the_caller_is_cancelled() -> None:
    work = asyncio.Event()
    swallowed: list[bool] = []

    async def stubborn() -> None:
        while len(swallowed) < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed.append(True)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    ending = asyncio.create_task(end_tasks_during(work.wait(), [task]))
    while len(swallowed) < 3:
        await asyncio.sleep(0)
        ending.cancel()
    await asyncio.sleep(0)
    assert not ending.done()
    work.set()
    await ending
    assert task.done()


async def test_a_caller_that_is_cancelled_learns_the_outcome_that_comes_in_a_moment_and_no_later_one() -> None:
    detached, go_on = DetachedTasks(), asyncio.Event()

    async def work(*, fails: bool) -> int:
        await go_on.wait()
        if fails:
            raise ZeroDivisionError
        return 7

    calls = [asyncio.create_task(known_outcome(detached.run(work(fails=fails)), 60)) for fails in (False, True)]
    late = asyncio.create_task(known_outcome(detached.run(work(fails=True)), 0.01))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for call in (*calls, late):
        call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    go_on.set()
    assert await calls[0] == 7
    with pytest.raises(ZeroDivisionError):
        await calls[1]
    await detached.wait()
