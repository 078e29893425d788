from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from videostore.media.packet import Gap, Packet, StreamFormat
from videostore.sources.until_set import until_set

GAPS = [Gap("first"), Gap("second"), Gap("third")]


class Numbers:
    """Yields some gaps, then waits for ever, or fails."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.waiting = asyncio.Event()
        self.closed = False

    async def items(self) -> AsyncIterator[list[Packet | Gap]]:
        try:
            for number in range(self.count):
                yield [GAPS[number]]
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
            found.extend([number async for some in until_set(items, event) for number in some])

    taking = asyncio.create_task(take())
    await numbers.waiting.wait()
    assert found == [] and not taking.done()
    event.set()
    await taking
    assert found == GAPS and numbers.closed


async def test_nothing_is_taken_after_the_event() -> None:
    event = asyncio.Event()
    event.set()
    assert [number async for number in until_set(Numbers(3).items(), event)] == []


async def test_the_end_and_errors_are_passed_on() -> None:
    async def three() -> AsyncIterator[list[Packet | Gap]]:
        for number in range(3):
            yield [GAPS[number]]

    assert [number async for some in until_set(three(), asyncio.Event()) for number in some] == GAPS
    found: list[Packet | Gap] = []
    with pytest.raises(ValueError, match="broken"):
        async for some in until_set(Numbers(2, ValueError("broken")).items(), asyncio.Event()):
            found.extend(some)
    assert found == GAPS[:2]


async def test_closing_it_ends_what_it_waits_for() -> None:
    numbers = Numbers(1)
    async with aclosing(numbers.items()) as items:  # type: ignore[type-var]
        waiting = until_set(items, asyncio.Event())
        assert await waiting.__anext__() == GAPS[:1]
        task = asyncio.ensure_future(waiting.__anext__())
        await numbers.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert numbers.closed


async def test_frames_that_are_shown_before_the_last_one_still_come() -> None:
    format = StreamFormat("h264", 2, 2, b"sets", reordered=1)
    event, found = asyncio.Event(), []

    async def packets() -> AsyncIterator[list[Packet | Gap]]:
        for time_us in (0, 30, 10, 20, 60, 40):
            await asyncio.sleep(0)
            yield [Packet(format, b"", time_us)]

    async for (one,) in until_set(packets(), event):
        assert isinstance(one, Packet)
        found.append(one.captured_us)
        if one.captured_us == 30:
            event.set()
    assert found == [0, 30, 10, 20]


async def test_frames_that_do_not_come_are_not_waited_for_without_end() -> None:
    event = asyncio.Event()

    async def packets() -> AsyncIterator[list[Packet | Gap]]:
        yield [Packet(StreamFormat("h264", 2, 2, b"sets", reordered=1), b"", 30)]
        event.set()
        await asyncio.Event().wait()

    assert len([one async for one in until_set(packets(), event)]) == 1
