from __future__ import annotations

import asyncio
import inspect

import pytest

from videostore.base.errors import VideoStoreError
from videostore.store.request_tasks import RequestTasks


@pytest.fixture
def requests() -> RequestTasks:
    """Requests of a store that has started."""
    requests = RequestTasks()
    requests.started = True
    return requests


async def answer(delay_s: float = 0.0) -> str:
    await asyncio.sleep(delay_s)
    return "done"


def test_requests_are_refused_before_the_start_and_after_the_end() -> None:
    requests = RequestTasks()
    with pytest.raises(VideoStoreError) as error:
        requests.check()
    assert error.value.code == "not-started"
    requests.started = True
    requests.check()
    requests.closing = True
    with pytest.raises(VideoStoreError) as error:
        requests.check()
    assert error.value.code == "closed"


async def test_the_result_and_the_error_of_a_request_reach_its_client(requests: RequestTasks) -> None:
    async def fail() -> None:
        raise VideoStoreError("clip-failed")

    assert await requests.run(answer()) == "done"
    with pytest.raises(VideoStoreError, match="clip-failed"):
        await requests.run(fail())


async def test_a_request_ends_when_its_client_is_cancelled(requests: RequestTasks) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    client = asyncio.create_task(requests.run(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    await asyncio.wait_for(ended.wait(), 150)


async def test_at_the_end_short_requests_are_finished_and_long_ones_are_refused(requests: RequestTasks) -> None:
    short = asyncio.create_task(requests.run(answer(0.1)))
    long = asyncio.create_task(requests.run(answer(60)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    requests.closing = True
    await asyncio.wait_for(requests.end(), 150)
    assert await short == "done"
    with pytest.raises(VideoStoreError) as error:
        await long
    assert error.value.code == "closed"


async def test_a_request_that_comes_while_the_store_closes_is_not_started(requests: RequestTasks) -> None:
    requests.closing = True
    work = answer()
    with pytest.raises(VideoStoreError) as error:
        await requests.run(work)
    assert error.value.code == "closed" and inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
