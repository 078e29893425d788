from __future__ import annotations

import asyncio

import pytest

from videostore.base.tasks import finish_despite_cancellation


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


async def test_without_that_the_result_or_the_error_is_handed_on() -> None:
    loop = asyncio.get_running_loop()
    assert await finish_despite_cancellation(loop.run_in_executor(None, lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        await finish_despite_cancellation(loop.run_in_executor(None, lambda: 1 // 0))
