from __future__ import annotations

import asyncio

import pytest

from tests.support.recording import SMALL, START_US, US, FixedClock
from videostore.base.clock import SteadyClock
from videostore.media.packet import StreamFormat
from videostore.sources.handover import CodedFrame
from videostore.sources.pacing import pace_live
from videostore.sources.settling import settle


class ReadLater:
    """A reader of frames, each of which is read at a time of its own; then none comes for ever."""

    def __init__(self, frames: list[CodedFrame], read_us: list[int], clock: FixedClock) -> None:
        self._frames = list(zip(frames, read_us, strict=True))
        self._clock = clock
        self.ends = True

    @property
    def waiting(self) -> bool:
        return bool(self._frames) and self._frames[0][1] <= self._clock.wall

    async def next(self, within_s: float | None) -> CodedFrame | None:
        if not self._frames:
            if self.ends:
                return None
            self._clock.advance(within_s or 0)
            raise asyncio.TimeoutError
        frame, read_us = self._frames.pop(0)
        self._clock.advance(max(0, read_us - self._clock.wall) / US)
        return frame

    def more(self, most: int) -> list[CodedFrame]:
        return []


def held_back_by_one(interval_us: int, clock: FixedClock) -> tuple[CodedFrame, ReadLater]:
    """Six frames of which three came at once, when the fourth arrived, and the others each with the next one."""
    format = StreamFormat("h264", *SMALL)
    read_us = [3 * interval_us] * 3 + [(n + 1) * interval_us for n in range(3, 6)]
    arrived_us = [read_us[0], *read_us[:-1]]
    first, *others = (
        CodedFrame(format, b"x", n * interval_us, START_US + arrived, 0, n == 0) for n, arrived in enumerate(arrived_us)
    )
    clock.advance(read_us[0] / US)
    return first, ReadLater(others, [START_US + one for one in read_us[1:]], clock)


@pytest.mark.parametrize("interval_ms", [200, 3000, 6000])
async def test_where_frames_are_held_back_those_that_follow_the_first_ones_date_them(interval_ms: int) -> None:
    """Nothing tells when the first ones arrived, but their distances from those behind."""
    clock = FixedClock(wall=START_US)
    first, reader = held_back_by_one(interval_ms * 1000, clock)
    paced = pace_live(reader, first, SteadyClock(clock), patience_s=30, held_back=1)
    dated_us = [one.captured_us - START_US for some in [some async for some in paced] for one in some]
    assert dated_us == pytest.approx([n * interval_ms * 1000 for n in range(6)], abs=5000)


async def test_frames_that_do_not_follow_are_not_waited_for_long() -> None:
    clock = FixedClock(wall=START_US)
    first, reader = held_back_by_one(100_000, clock)
    reader.ends = False
    began_us = clock.wall
    held, ended = await settle(reader, first, SteadyClock(clock), 0.5, followers=10)
    assert len(held) == 6 and not ended
    assert clock.wall - began_us < 2 * US
