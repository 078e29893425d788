from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.support.recording import until
from videostore.base.errors import RequestError
from videostore.clips.turns import Turns


async def test_so_many_run_at_a_time_in_the_order_in_which_they_came() -> None:
    turns, go, running, order = Turns(2), asyncio.Event(), set[int](), list[int]()

    async def work(number: int) -> None:
        async with turns.turn():
            order.append(number)
            running.add(number)
            assert len(running) <= 2
            await go.wait()
            running.remove(number)

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await until(lambda: turns.waiting == 4)
    assert running == {0, 1}
    go.set()
    await asyncio.gather(*tasks)
    assert order == list(range(6)) and turns.waiting == 0


async def test_beyond_the_bound_a_request_is_refused_and_one_that_leaves_makes_room() -> None:
    turns = Turns(1, most_waiting=2)

    async def wait() -> None:
        async with turns.turn():
            pass

    async with turns.turn():
        waiting = [asyncio.create_task(wait()) for _ in range(2)]
        await until(lambda: turns.waiting == 2)
        with pytest.raises(RequestError, match="2 requests wait already") as refused:
            await wait()
        assert refused.value.code == "too-many-requests"
        waiting[0].cancel()
        await until(lambda: turns.waiting == 1)
        again = asyncio.create_task(wait())
        await until(lambda: turns.waiting == 2)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*waiting, again, return_exceptions=True)
    assert turns.waiting == 0
