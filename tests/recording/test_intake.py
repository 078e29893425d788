from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.support.recording import LOGGER, START_US, US, FixedClock, until
from videostore.base.clock import SteadyClock
from videostore.base.tasks import end_task
from videostore.media.packet import Gap, Packet, StreamFormat
from videostore.recording.backlog import END_OF_SOURCE, Backlog
from videostore.recording.intake import Intake
from videostore.recording.run import Run

FORMAT = StreamFormat("h264", 2, 2, b"sets")


def frames(first: int, count: int) -> list[Packet | Gap]:
    return [Packet(FORMAT, b"x", START_US + number, number == 0) for number in range(first, first + count)]


class Batches:
    """A source that yields these batches. The clock is stepped before the second; `fails` is how often it raises."""

    def __init__(self, clock: FixedClock, step_us: int = 0, fails: int = 0) -> None:
        self.clock, self.step_us, self.fails = clock, step_us, fails

    async def batches(self) -> AsyncIterator[Sequence[Packet | Gap]]:
        yield [*frames(0, 2), Gap("away"), *frames(2, 1)]
        self.clock.wall += self.step_us
        if self.fails:
            self.fails -= 1
            raise ValueError("broken")
        yield frames(3, 2)

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        async for batch in self.batches():
            for item in batch:
                yield item


def taken(backlog: Backlog) -> list[Packet | Gap | Run]:
    items = []
    while (item := backlog.get_nowait()) is not None:
        items.append(item)
    return items


async def test_what_comes_together_keeps_its_order_and_the_end_follows() -> None:
    clock, backlog = FixedClock(wall=START_US), Backlog()
    await Intake(Batches(clock), backlog, SteadyClock(clock), LOGGER, live=True).run()
    assert taken(backlog) == [*frames(0, 2), Gap("away"), *frames(2, 3), END_OF_SOURCE]


async def test_a_step_of_the_clock_is_a_gap_before_what_comes_then() -> None:
    clock, backlog = FixedClock(wall=START_US), Backlog()
    await Intake(Batches(clock, step_us=3600 * US), backlog, SteadyClock(clock), LOGGER, live=True).run()
    stepped = Gap("the clock was changed")
    assert taken(backlog) == [*frames(0, 2), Gap("away"), *frames(2, 1), stepped, *frames(3, 2), END_OF_SOURCE]


async def test_what_does_not_fit_is_waited_for_if_the_source_can_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.recording.backlog.BACKLOG_CODED_FRAMES", 2)
    clock, backlog = FixedClock(wall=START_US), Backlog(max_frames=2)
    taking = asyncio.create_task(Intake(Batches(clock), backlog, SteadyClock(clock), LOGGER, live=False).run())
    found = [await backlog.get() for _ in range(7)]
    assert found == [*frames(0, 2), Gap("away"), *frames(2, 3), END_OF_SOURCE] and not backlog.dropped
    await taking


async def test_a_source_that_fails_is_started_again_behind_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.recording.intake._AGAIN_S", 0.01)
    clock, backlog = FixedClock(wall=START_US), Backlog()
    intake = Intake(Batches(clock, fails=1), backlog, SteadyClock(clock), LOGGER, live=True)
    taking = asyncio.create_task(intake.run())
    await until(taking.done)
    await end_task(taking)
    items = taken(backlog)
    assert items.count(Gap("the source failed")) == 1 and items[-1] is END_OF_SOURCE
    assert items[-3:-1] == frames(3, 2)
