from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.support.coding import write_video
from tests.support.inputs import (
    NetworkCamera,
    SteppedClock,
    Tap,
    dated_alike,
    distances,
    open_input,
    painted_times,
    playing,
)
from tests.support.recording import SMALL, START_US, US, FixedClock, capture_times, until
from videostore.base.clock import SteadyClock
from videostore.media.decode_order import DecodeOrder
from videostore.media.packet import StreamFormat
from videostore.sources.handover import CodedFrame
from videostore.sources.input_profile import InputFault, WrongTimes
from videostore.sources.pacing import TOGETHER, DatedFrame, FileTimes, pace_file, pace_live


class Frames:
    """A reader of a few frames that have arrived already."""

    def __init__(self, frames: list[CodedFrame]) -> None:
        self._frames = frames

    @property
    def waiting(self) -> bool:
        return bool(self._frames)

    async def next(self, within_s: float | None) -> CodedFrame | None:
        return self._frames.pop(0) if self._frames else None

    def more(self, most: int) -> list[CodedFrame]:
        taken, self._frames = self._frames[:most], self._frames[most:]
        return taken


class Arriving(Frames):
    """The same, and the time of each is when it arrived."""

    def __init__(self, frames: list[CodedFrame], clock: FixedClock) -> None:
        super().__init__(frames)
        self._clock = clock

    @property
    def waiting(self) -> bool:
        return False

    async def next(self, within_s: float | None) -> CodedFrame | None:
        frame = await super().next(within_s)
        if frame is not None:
            self._clock.advance((frame.arrived_us - self._clock.wall) / US)
        return frame

    def more(self, most: int) -> list[CodedFrame]:
        return []


async def each(paced: AsyncIterator[list[DatedFrame]]) -> AsyncIterator[DatedFrame]:
    async for together in paced:
        for one in together:
            yield one


async def test_a_live_input_that_ends_while_it_settles_yields_all_its_frames() -> None:
    """The smallest delay dates them all: the first frame was 300 ms late."""
    format, clock = StreamFormat("h264", *SMALL), FixedClock(wall=START_US)
    delays_us = (300_000, 40_000, 60_000)
    first, *others = (
        CodedFrame(format, b"x", n * 50_000, START_US + n * 50_000 + delay_us, 0, n == 0)
        for n, delay_us in enumerate(delays_us)
    )
    paced = pace_live(Frames(others), first, SteadyClock(clock), patience_s=1)
    dated = [(one.frame.pts_us, one.captured_us) async for one in each(paced)]
    assert dated == [(n * 50_000, START_US + 40_000 + n * 50_000) for n in range(3)]


@pytest.mark.parametrize(
    ("arrived_ms", "opened_ms", "expected_ms"),
    [
        ((0, 1, 2, 102, 202, 302), -1000, (-198, -98, 2, 102, 202, 302)),  # three that ffmpeg looked at
        ((0, 1, 2, 102, 202, 302), -98, (-98, -48, 2, 102, 202, 302)),  # which cannot have come before it looked
        ((0, 100, 101, 200, 300), -1000, (0, 100, 101, 200, 300)),  # later ones keep when they came
        ((0, 1, 2), -1000, (0, 1, 2)),
        ((0,), -1000, (0,)),
    ],
)
async def test_frames_that_are_dated_by_arrival_and_came_at_once_at_first_get_the_usual_distance(
    arrived_ms: tuple[int, ...], opened_ms: int, expected_ms: tuple[int, ...]
) -> None:
    format, clock = StreamFormat("h264", *SMALL), FixedClock(wall=START_US)
    first, *others = (CodedFrame(format, b"x", ms * 1000, START_US + ms * 1000, 0, ms == 0) for ms in arrived_ms)
    opened_us = START_US + opened_ms * 1000
    paced = pace_live(Frames(others), first, SteadyClock(clock), patience_s=1, opened_us=opened_us)
    assert tuple([one.captured_us - START_US async for one in each(paced)]) == tuple(ms * 1000 for ms in expected_ms)


@pytest.mark.parametrize(
    ("pts_us", "expected"),
    [
        ((0, 11, 50_000, 100_000), (-49_983, 11, 50_000, 100_000)),  # as ffmpeg passes on the first of GStreamer's
        ((0, 40_000, 90_000, 140_000), (0, 40_000, 90_000, 140_000)),
        ((0, 11), (0, 11)),  # how far they are apart is not known
    ],
)
async def test_a_first_frame_without_a_time_of_its_own_comes_one_interval_before_the_second(
    pts_us: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    format, clock = StreamFormat("h264", *SMALL), FixedClock(wall=START_US)
    first, *others = (CodedFrame(format, b"x", pts, START_US + 100_000 + pts, 0, pts == 0) for pts in pts_us)
    paced = pace_live(Frames(others), first, SteadyClock(clock), patience_s=1)
    assert tuple([one.frame.pts_us async for one in each(paced)]) == expected


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


async def test_late_frames_are_dated_like_the_others(binary: str, camera: NetworkCamera) -> None:
    camera.delay_s = lambda number: 0.0 if number % 5 else 0.15
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    async with playing(source):
        await dated_alike(source, 40, 30_000)
    assert all(step > 0 for step in distances(source.times_us))


async def test_what_a_network_delays_for_a_few_seconds_is_not_lost() -> None:
    clock, format = FixedClock(wall=START_US), StreamFormat("h264", *SMALL)
    steady, step_us = SteadyClock(clock), 50_000
    frames = [CodedFrame(format, b"x", n * step_us, START_US + n * step_us, 0, n == 0, None) for n in range(60)]
    late = START_US + 70 * step_us
    frames = [one._replace(arrived_us=late) if number >= 20 else one for number, one in enumerate(frames)]
    paced = pace_live(Arriving(frames[1:], clock), frames[0], steady, patience_s=1)
    dated = [one.captured_us async for one in each(paced)]
    assert len(dated) == 60  # as late as the clocks may have drifted meanwhile
    assert max(abs(one - dated[0] - n * step_us) for n, one in enumerate(dated)) < 3000


async def test_frames_that_are_missing_for_seconds_make_a_gap() -> None:
    clock, format = FixedClock(wall=START_US), StreamFormat("h264", *SMALL)
    times = [*range(0, 1_000_000, 50_000), 4_000_000]
    frames = [CodedFrame(format, b"x", one, START_US + one, 0, one == 0, None) for one in times]
    with pytest.raises(InputFault, match="no frame for 2 s"):
        async for _ in each(pace_live(Arriving(frames[1:], clock), frames[0], SteadyClock(clock), patience_s=1)):
            pass


def live_frames(times_us: Sequence[int], steps: Sequence[int] = ()) -> list[CodedFrame]:
    format = StreamFormat("h264", *SMALL)
    numbers = [*steps, *[0] * (len(times_us) - len(steps))]
    return [
        CodedFrame(format, b"x", one, START_US + one + step * 3600 * US, step, one == 0)
        for one, step in zip(times_us, numbers, strict=True)
    ]


async def together(frames: list[CodedFrame], clock: FixedClock) -> tuple[list[list[DatedFrame]], str]:
    """What is passed on together of frames of which all behind the first second come together, and the fault."""
    settling = list(itertools.takewhile(lambda one: one.pts_us < US, frames[1:]))
    reader, dated = Bursts(settling, frames[1 + len(settling) :], clock), []
    try:
        async for some in pace_live(reader, frames[0], SteadyClock(clock), patience_s=1):
            dated.append(some)
    except InputFault as fault:
        return dated, str(fault)
    return dated, ""


class Bursts(Arriving):
    """Frames of which the first come one after the other, and the others at once."""

    def __init__(self, first: list[CodedFrame], others: list[CodedFrame], clock: FixedClock) -> None:
        super().__init__(first, clock)
        self._others = others

    @property
    def waiting(self) -> bool:
        return len(self._frames) + len(self._others) > 0 and self._clock.wall >= START_US + US

    async def next(self, within_s: float | None) -> CodedFrame | None:
        if not self._frames and self._others:
            self._frames, self._others = self._others, []
        return await super().next(within_s)

    def more(self, most: int) -> list[CodedFrame]:
        return Frames.more(self, most) if not self._others else []


class Rapid(Frames):
    """Frames that arrive as time passes, of which the first second has arrived at the start."""

    def __init__(self, frames: list[CodedFrame], clock: FixedClock) -> None:
        super().__init__(frames)
        self._clock = clock

    @property
    def waiting(self) -> bool:
        return bool(self._frames) and self._frames[0].arrived_us <= self._clock.wall

    async def next(self, within_s: float | None) -> CodedFrame | None:
        if self._frames and not self.waiting:
            self._clock.advance((self._frames[0].arrived_us - self._clock.wall) / US)
        return await super().next(within_s)

    def more(self, most: int) -> list[CodedFrame]:
        return super().more(min(most, sum(one.arrived_us <= self._clock.wall for one in self._frames)))


@pytest.mark.parametrize(("fps", "slowness"), [(20, 1), (60, 1), (120, 1), (240, 1), (30, 3)])
async def test_a_fast_camera_is_caught_up_with_from_the_start(
    monkeypatch: pytest.MonkeyPatch, fps: int, slowness: int
) -> None:
    """Frames that wait for ever longer would be taken for those of a camera whose timestamps jump. On a machine that is
    busy, each pause is longer than it should be."""
    clock = FixedClock(wall=START_US)

    async def pass_time(seconds: float) -> None:
        clock.advance(seconds * slowness)

    monkeypatch.setattr("videostore.sources.pacing.asyncio.sleep", pass_time)
    first, *others = live_frames([n * US // fps for n in range(8 * fps)])
    others = [one._replace(arrived_us=max(one.arrived_us, START_US + US)) for one in others]
    late_us = []
    async for some in pace_live(Rapid(others, clock), first, SteadyClock(clock), patience_s=1):
        late_us.append(clock.wall - START_US - some[-1].frame.pts_us)
    assert max(late_us[-fps:]) < 150_000


async def test_frames_that_come_together_are_passed_on_together_and_dated_as_one_by_one() -> None:
    clock = FixedClock(wall=START_US)
    frames = live_frames(range(0, 3 * US, 50_000))
    dated, fault = await together(frames, clock)
    assert not fault and [one.frame for some in dated for one in some] == frames
    assert max(len(some) for some in dated) == TOGETHER
    assert [one.captured_us for some in dated for one in some] == [START_US + one.pts_us for one in frames]


@pytest.mark.parametrize(
    ("jump_us", "expected"), [(3_000_000, "no frame for 2 s"), (-40_000_000, "its timestamps jumped")]
)
async def test_of_frames_that_come_together_those_before_a_fault_are_passed_on(jump_us: int, expected: str) -> None:
    times = [*range(0, 1_500_000, 50_000), *range(1_500_000 + jump_us, 1_700_000 + jump_us, 50_000)]
    late_us = max(jump_us, 0)
    arrivals = [START_US + number * 50_000 + (number >= 30) * late_us for number in range(len(times))]
    frames = [one._replace(arrived_us=at) for one, at in zip(live_frames(times), arrivals, strict=True)]
    dated, fault = await together(frames, FixedClock(wall=START_US))
    assert expected in fault and [one.frame for some in dated for one in some] == frames[:30]


@pytest.mark.parametrize(("alike", "expected"), [(2, ""), (3, "stand still, or went back"), (-8, "")])
async def test_frames_whose_times_stand_still_are_not_passed_on_until_another_time_follows(
    alike: int, expected: str
) -> None:
    """A camera that was held up sends as close times all at once."""
    at_once, alike = alike < 0, abs(alike)
    times = list(range(0, 3 * US, 50_000))
    times[31 : 31 + alike] = [times[30] + 10 * (number + 1) for number in range(alike)]
    arrivals = list(range(START_US, START_US + 3 * US, 50_000))
    if at_once:
        arrivals[31 : 31 + alike] = [arrivals[30]] * alike
    frames = [one._replace(arrived_us=at) for one, at in zip(live_frames(times), arrivals, strict=True)]
    dated, fault = await together(frames, FixedClock(wall=START_US))
    assert expected in fault and bool(expected) == bool(fault)
    assert [one.frame for some in dated for one in some] == (frames[:31] if expected else frames)


@pytest.mark.parametrize(
    ("times", "expected"),
    [([0] * 40, "stand still"), ([0, 50_000, 36_000 * US, *range(36_001 * US, 36_010 * US, US)], "jumped")],
)
async def test_first_frames_whose_times_cannot_be_right_are_not_passed_on(times: list[int], expected: str) -> None:
    arrivals = range(START_US, START_US + len(times) * 50_000, 50_000)
    frames = [one._replace(arrived_us=at) for one, at in zip(live_frames(times), arrivals, strict=True)]
    dated, fault = await together(frames, FixedClock(wall=START_US))
    assert dated == [] and expected in fault


async def test_times_that_go_on_after_less_time_than_they_tell_have_jumped() -> None:
    times = [*range(0, 1_500_000, 50_000), *range(4_500_000, 4_700_000, 50_000)]
    frames = live_frames(times)
    frames = [one._replace(arrived_us=START_US + number * 50_000) for number, one in enumerate(frames)]
    dated, fault = await together(frames, FixedClock(wall=START_US))
    assert "its timestamps jumped" in fault and [one.frame for some in dated for one in some] == frames[:30]


async def test_frames_that_come_late_are_no_reason_to_distrust_their_times() -> None:
    """The times of a network that is too slow are right."""
    frames = live_frames(range(0, 3 * US, 50_000))
    late = [one._replace(arrived_us=one.arrived_us + 6 * US * (number >= 40)) for number, one in enumerate(frames)]
    with pytest.raises(InputFault, match="its timestamps jumped") as fault:
        async for _ in pace_live(Frames(late[1:]), late[0], SteadyClock(FixedClock(wall=START_US)), patience_s=20):
            pass
    assert not isinstance(fault.value, WrongTimes)


async def test_a_step_of_the_clock_among_frames_that_come_together_is_followed_at_its_frame() -> None:
    times = range(0, 2 * US, 50_000)
    frames = live_frames(times, [0] * 30 + [1] * 10)
    dated, fault = await together(frames, FixedClock(wall=START_US))
    found = [one for some in dated for one in some]
    assert not fault and [one.clock_steps for one in found] == [0] * 30 + [1] * 10
    assert [one.captured_us - START_US - one.frame.pts_us for one in found] == [0] * 30 + [3600 * US] * 10


async def test_a_camera_that_sends_no_frames_makes_a_gap_after_some_seconds(binary: str, camera: NetworkCamera) -> None:
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        camera.sending.clear()
        silent = time.monotonic()
        await until(lambda: source.gaps)
        assert time.monotonic() - silent > 4  # not reported too early
        before = len(source.packets_seen)
        camera.sending.set()
        await until(lambda: len(source.packets_seen) > before)
    assert "no frame for 4.5 s" in source.gaps[0].reason


async def test_a_camera_whose_timestamps_jump_makes_a_gap_and_is_dated_from_scratch(
    binary: str, camera: NetworkCamera
) -> None:
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        camera.ahead_us = 7 * US
        await until(lambda: source.gaps)
        before = len(source.packets_seen)
        await until(lambda: len(source.packets_seen) >= before + 5)
    assert "its timestamps jumped" in source.gaps[0].reason
    for packets in (source.packets_seen[:before], source.packets_seen[before:]):
        off_us = [one.captured_us - true for one, true in zip(packets, painted_times(packets), strict=True)]
        assert min(off_us) >= 0 and max(off_us) < US


@pytest.mark.parametrize("step_s", [-3600, 3600])
@pytest.mark.parametrize("live", [True, False])
async def test_a_step_of_the_clock_is_followed(
    tmp_path: Path, binary: str, camera: NetworkCamera, live: bool, step_s: int
) -> None:
    times = capture_times(3, fps=20, seed=None)
    write_video(tmp_path / "input.mp4", "h264", times)
    await camera.start()
    clock = SteppedClock()
    if live:
        source = Tap(open_input(camera.url, binary, format="mpegts", clock=clock))
    else:
        source = Tap(open_input(tmp_path / "input.mp4", binary, clock=clock))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        clock.ahead_us = step_s * US
        await until(lambda: any(abs(step) > 2 * US for step in distances(source.times_us)))
        seen = len(source.packets_seen)
        await until(lambda: len(source.packets_seen) >= seen + 5)
    steps = distances(source.times_us)
    assert [step for step in steps if abs(step) > 2 * US] == [pytest.approx(step_s * US, abs=US)]
    assert sum(step <= 0 for step in steps) == (step_s < 0)  # apart from the step, time runs forward
    assert abs(source.times_us[-1] - clock.wall_us()) < 2 * US
