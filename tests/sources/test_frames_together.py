"""The pacing of live frames that come together, as after a delay."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tests.support.pacing import Arriving, Frames
from tests.support.recording import SMALL, START_US, US, FixedClock
from videostore.base.clock import SteadyClock
from videostore.media.packet import StreamFormat
from videostore.sources.handover import CodedFrame
from videostore.sources.input_profile import InputFault, WrongTimes
from videostore.sources.pacing import TOGETHER, DatedFrame, pace_live


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
