from __future__ import annotations

import asyncio
import time

from videostore.base.slices import SLICE_S, map_in_slices


async def test_all_results_come_in_order() -> None:
    assert await map_in_slices(lambda number: number * 2, range(1000)) == [number * 2 for number in range(1000)]
    assert await map_in_slices(str, []) == []


async def test_the_loop_does_other_work_while_many_items_are_worked_on() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def slow(number: int) -> int:
        until = time.perf_counter() + SLICE_S / 10
        while time.perf_counter() < until:
            pass
        return number

    counting = asyncio.create_task(count())
    await map_in_slices(slow, range(500))
    counting.cancel()
    # 500 items take 50 slices of work; the clock is looked at after each 50 of them.
    assert turns >= 9
