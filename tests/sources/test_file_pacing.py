"""The pacing of files: their frames come when they are due."""

from __future__ import annotations

import pytest

from tests.support.pacing import Frames, each
from tests.support.recording import SMALL, START_US, US, FixedClock
from videostore.base.clock import SteadyClock
from videostore.media.decode_order import DecodeOrder
from videostore.media.packet import StreamFormat
from videostore.sources.handover import CodedFrame
from videostore.sources.pacing import FileTimes, pace_file


def frames_of_a_file(count: int) -> list[CodedFrame]:
    return [CodedFrame(StreamFormat("h264", *SMALL), b"x", n * 50_000, 0, 0, n == 0) for n in range(count)]


async def test_frames_of_a_file_keep_their_distances_however_late_they_are() -> None:
    clock = FixedClock(wall=START_US)
    steady = SteadyClock(clock)
    dated: list[int] = []
    times = FileTimes(steady)
    for resume_us in (0, 500_000):  # by two ffmpegs
        first, *others = frames_of_a_file(10)
        paced = pace_file(Frames(others), first, steady, times=times, resume_us=resume_us, patience_s=1)
        async for one in each(paced):
            dated.append(one.captured_us)
            clock.advance(0.579 if len(dated) % 4 == 0 else 0.05)
        clock.advance(2)
    assert dated == [START_US + n * 50_000 for n in range(20)]


async def test_a_step_of_the_clock_steps_a_file_by_no_more_than_itself() -> None:
    clock = FixedClock(wall=START_US)
    steady = SteadyClock(clock)
    first, *others = frames_of_a_file(6)
    dated: list[tuple[int, int]] = []
    async for one in each(pace_file(Frames(others), first, steady, times=FileTimes(steady), resume_us=0, patience_s=1)):
        dated.append((one.captured_us, one.clock_steps))
        clock.advance(0.579)  # late, and then stepped
        clock.wall += 3600 * US if len(dated) == 3 else 0
    assert dated == [(START_US + n * 50_000 + (n >= 3) * 3600 * US, int(n >= 3)) for n in range(6)]


async def test_of_a_file_that_is_stopped_only_what_is_due_comes() -> None:
    clock = FixedClock(wall=START_US)
    steady = SteadyClock(clock)
    dated: list[int] = []
    times = FileTimes(steady)
    first, *others = frames_of_a_file(10)
    async for one in each(pace_file(Frames(others), first, steady, times=times, resume_us=0, patience_s=1)):
        if not dated:
            clock.advance(0.22)  # ffmpeg is slow
            times.stop()
            clock.advance(3)
        dated.append(one.frame.pts_us)
    assert dated == [0, 50_000, 100_000, 150_000, 200_000] and times.over


async def test_a_file_ends_where_so_much_of_it_is_passed_on() -> None:
    clock = FixedClock(wall=START_US)
    steady = SteadyClock(clock)
    first, *others = frames_of_a_file(10)
    times = FileTimes(steady, 150_000)
    dated: list[int] = []
    async for one in each(pace_file(Frames(others), first, steady, times=times, resume_us=0, patience_s=1)):
        dated.append(one.frame.pts_us)
        clock.advance(1)
    assert dated == [0, 50_000, 100_000] and times.over


@pytest.mark.parametrize(("length", "expected"), [(6, [0, 15, 5]), (15, [0, 15, 5, 10]), (20, [0, 15, 5, 10])])
async def test_of_reordered_frames_a_file_ends_with_those_before_its_end_and_what_they_need(
    length: int, expected: list[int]
) -> None:
    clock, order = FixedClock(wall=START_US), DecodeOrder(0, 1)
    steady = SteadyClock(clock)
    format = StreamFormat("h264", *SMALL, reordered=1)
    first, *others = (
        CodedFrame(format, b"x", shown, 0, 0, shown == 0, order.next(shown)) for shown in (0, 15, 5, 10, 30, 20, 25)
    )
    times = FileTimes(steady, length)
    paced = pace_file(Frames(others), first, steady, times=times, resume_us=0, patience_s=1)
    assert [one.frame.pts_us async for one in each(paced)] == expected and times.over
