from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from videostore.sources.until_set import until_set


class Numbers:
    """Yields some numbers, then waits for ever, or fails."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.waiting = asyncio.Event()
        self.closed = False

    async def items(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                yield number
            if self.error:
                raise self.error
            self.waiting.set()
            await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_it_ends_while_it_waits_for_the_next_item() -> None:
    numbers, event = Numbers(3), asyncio.Event()
    found = []

    async def take() -> None:
        async with aclosing(numbers.items()) as items:  # type: ignore[type-var]
            found.extend([number async for number in until_set(items, event)])

    taking = asyncio.create_task(take())
    await numbers.waiting.wait()
    assert found == [] and not taking.done()
    event.set()
    await taking
    assert found == [0, 1, 2] and numbers.closed


async def test_nothing_is_taken_after_the_event() -> None:
    event = asyncio.Event()
    event.set()
    assert [number async for number in until_set(Numbers(3).items(), event)] == []


async def test_the_end_and_errors_are_passed_on() -> None:
    async def three() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    assert [number async for number in until_set(three(), asyncio.Event())] == [0, 1, 2]
    found = []
    with pytest.raises(ValueError, match="broken"):
        async for number in until_set(Numbers(2, ValueError("broken")).items(), asyncio.Event()):
            found.append(number)
    assert found == [0, 1]


async def test_closing_it_ends_what_it_waits_for() -> None:
    numbers = Numbers(1)
    async with aclosing(numbers.items()) as items:  # type: ignore[type-var]
        waiting = until_set(items, asyncio.Event())
        assert await waiting.__anext__() == 0
        task = asyncio.ensure_future(waiting.__anext__())
        await numbers.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert numbers.closed
