"""When the frames of an input are passed on, and the capture time that each of them gets."""

from __future__ import annotations

import asyncio
import contextlib
import math
import statistics
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from videostore.base.clock import SteadyClock
from videostore.base.constants import (
    CAMERA_SILENCE_S,
    CAMERA_SLOW_FACTOR,
    US_PER_SECOND,
)
from videostore.sources.arrival_time import ArrivalTimeEstimator
from videostore.sources.handover import CodedFrame
from videostore.sources.input_profile import InputFault, WrongTimes
from videostore.sources.settling import (
    ARRIVAL_SETTLE_S,
    JUMPED,
    SETTLE_MOST_S,
    STAND_STILL,
    UNTIMED_SETTLE_S,
    FrameReader,
    are_apart,
    date_first,
    let_first_be_prompt,
    settle,
    spread_first,
    stand_still,
    wrong_times,
)

AT_ONCE = 8
CATCH_UP_S = 0.02
"""Of frames that wait, so many are passed on in this time: the recorder drops what does not fit into its backlog. At
the start only one is, since the recorder's ffmpeg starts meanwhile, or of a fast camera half as many again as it sends:
otherwise those that wait would become more and more."""
_START_FACTOR = 1.5
_START_US = 2 * US_PER_SECOND
"""The start lasts no longer, though frames still wait: on a machine that is busy they would become more and more."""
TOGETHER = 32
"""So many are passed on together at most. There are more between two beats only of cameras with more than 120 frames
a second."""

STALL_PATIENCE_S = 4.5
"""A network that stands still for so long delays frames, and loses none if the connection is kept. Frames that come
later than `CAPTURED_AT_PLAUSIBLE_US` could not be told from timestamps that jump."""

_INTERVALS = 8
"""This many frame intervals tell how slow an input usually is."""


class DatedFrame(NamedTuple):
    """A frame with its capture time."""

    frame: CodedFrame
    captured_us: int
    """UTC."""
    clock_steps: int
    """How many steps of the clock came before: capture times across a step cannot be compared."""


class FileTimes:
    """The capture times of a file's frames. The first is captured when it is passed on, as by a camera that starts now.

    The others keep their distances from it, however late they are read, by however many ffmpegs; only when the wall
    clock is stepped, all later ones are stepped with it.
    """

    def __init__(self, clock: SteadyClock, length_us: int | None = None) -> None:
        """`length_us` is how much of the file is to be passed on; None: all of it."""
        self._clock = clock
        self._offset_us: int | None = None
        self._end_us: int | None = None
        self._length_us = length_us
        self._stopped = asyncio.Event()
        self.over = False
        """Whether a frame was not passed on because it lies behind the end."""

    def captured_us(self, pts_us: int) -> int:
        """The capture time of the frame that lies here in the file, UTC."""
        if self._offset_us is None:
            self._offset_us = self._clock.now_us() - self._clock.stepped_us - pts_us
            if self._length_us is not None:
                self._end_us = pts_us + self._length_us
        return pts_us + self._offset_us + self._clock.stepped_us

    def stop(self) -> None:
        """Pass on only what is due by now, however late that is read."""
        if self._offset_us is None:
            self._end_us = -(1 << 62)
        else:
            now_us = self._clock.now_us() - self._clock.stepped_us - self._offset_us
            self._end_us = now_us if self._end_us is None else min(now_us, self._end_us)
        self._stopped.set()

    def is_over(self, pts_us: int) -> bool:
        """Whether a frame is not to be passed on any more."""
        self.over = self.is_outside(pts_us)
        return self.over

    def is_outside(self, pts_us: int) -> bool:
        """Whether a frame is shown behind the end."""
        return self._end_us is not None and pts_us >= self._end_us

    async def wait_until_due(self, pts_us: int) -> None:
        """Wait until a frame is due, or until this is stopped."""
        early_us = self.captured_us(pts_us) - self._clock.now_us()
        if early_us > 0 and not self.is_over(pts_us):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), early_us / US_PER_SECOND)
            self._clock.now_us()


async def pace_file(
    reader: FrameReader, first: CodedFrame, clock: SteadyClock, *, times: FileTimes, resume_us: int, patience_s: float
) -> AsyncIterator[list[DatedFrame]]:
    """Yield the frames of a file in real time, as if it were a camera that starts now.

    `resume_us` is where in the file its first frame lies; `patience_s` is how long a frame may take.

    Raises:
        InputFault: no frame came in time.
    """
    frame: CodedFrame | None = first
    outside: list[CodedFrame] = []
    """Frames that are shown behind the end, which those before the end may need that are decoded after them."""
    while frame is not None:
        await times.wait_until_due(frame.pts_us + resume_us)
        if times.is_over(frame.order_us + resume_us):
            return
        outside.append(frame)
        if not times.is_outside(frame.pts_us + resume_us):
            yield [DatedFrame(one, times.captured_us(one.pts_us + resume_us), clock.steps) for one in outside]
            outside = []
        try:
            frame = await reader.next(patience_s)
        except asyncio.TimeoutError as error:
            raise InputFault(f"no frame within {patience_s:g} s") from error


async def pace_live(
    reader: FrameReader,
    first: CodedFrame,
    clock: SteadyClock,
    *,
    patience_s: float,
    opened_us: int | None = None,
    held_back: int = 0,
    most_s: float = SETTLE_MOST_S,
    buffered_us: int = 0,
) -> AsyncIterator[list[DatedFrame]]:
    """Yield the frames of a live input as they arrive, those that come together as one list, dated by their arrival
    times.

    The first frames are held back until it is known how much they were delayed. `patience_s` is how long a frame may
    take until the usual frame interval is known. `opened_us` is when the input was opened, UTC, if the
    times of the frames are those of their arrivals. `held_back` is how many more frames ffmpeg has to get before it
    passes one on. It waits for these for `most_s` at most. `buffered_us` is for how long its network held each frame
    back.

    Raises:
        WrongTimes: the input's timestamps jumped, or stand still.
        InputFault: no frame came in time.
    """
    if opened_us is None:
        held, ended = await settle(reader, first, clock, ARRIVAL_SETTLE_S, followers=held_back, most_s=most_s)
        if wrong := wrong_times(held):
            raise WrongTimes(wrong)
        date_first(held)
        let_first_be_prompt(held)
    else:
        held, ended = await settle(reader, first, clock, UNTIMED_SETTLE_S, timed=False)
        spread_first(held, opened_us)
    times = _LiveTimes(patience_s, timed=opened_us is None, buffered_us=buffered_us)
    for frame in held:
        times.observe(frame)
    starting, start_ends_us = True, clock.now_us() + _START_US
    while held:
        yield [times.date(held.popleft()) for _ in range(min(len(held), times.at_start))]
        if held or reader.waiting:
            await asyncio.sleep(CATCH_UP_S)
    while not ended:
        if not reader.waiting:
            starting = False
            times.find_limit()
        starting = starting and clock.now_us() < start_ends_us
        try:
            following = await reader.next(times.wait_s)
        except asyncio.TimeoutError as error:
            raise InputFault(f"no frame for {times.wait_s:g} s") from error
        if following is None:
            return
        most = times.at_start if starting else TOGETHER
        dated, fault = times.date_all([following, *reader.more(most - 1)])
        if dated:
            yield dated
        if fault is not None:
            raise fault
        if reader.waiting:
            await asyncio.sleep(CATCH_UP_S if starting else CATCH_UP_S * len(dated) / AT_ONCE)


class _LiveTimes:
    """The capture times of a live input's frames, and how long to wait for the next one."""

    def __init__(self, patience_s: float, *, timed: bool, buffered_us: int) -> None:
        """`timed`: whether the times of the frames are those of the input."""
        self._timed, self._buffered_us = timed, buffered_us
        self._dates = ArrivalTimeEstimator()
        self._steps = -1
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._last: CodedFrame | None = None
        self._doubtful: list[CodedFrame] = []
        """The last frames, whose times stand still so far."""
        self._patience_s = self._limit_s = patience_s

    @property
    def wait_s(self) -> float:
        """How long to wait for the next frame."""
        return max(self._limit_s, STALL_PATIENCE_S) if self._intervals else self._limit_s

    @property
    def at_start(self) -> int:
        """How many frames are passed on in `CATCH_UP_S` at the start."""
        usual_us = max(statistics.median(self._intervals), 1) if self._intervals else US_PER_SECOND
        return max(1, min(TOGETHER, math.ceil(_START_FACTOR * CATCH_UP_S * US_PER_SECOND / usual_us)))

    def find_limit(self) -> None:
        """Find out how long no frame may have been captured, by the last ones: all that have arrived are taken."""
        if self._intervals:
            usual_s = statistics.median(self._intervals) / US_PER_SECOND
            self._limit_s = max(CAMERA_SILENCE_S, CAMERA_SLOW_FACTOR * usual_s)

    def observe(self, frame: CodedFrame) -> None:
        """A frame has arrived.

        Raises:
            WrongTimes: its timestamp has jumped ahead.
            InputFault: it is so late that its timestamp has jumped, or the network is too slow.
        """
        if frame.clock_steps != self._steps:
            self._dates, self._steps = ArrivalTimeEstimator(), frame.clock_steps
        if not self._dates.observe(frame.pts_us, frame.arrived_us):
            # Of a network that is too slow the times are right: without them the delay would be recorded.
            raise InputFault(JUMPED) if self._dates.is_late(frame.pts_us, frame.arrived_us) else WrongTimes(JUMPED)
        if self._last is not None:
            self._intervals.append(frame.order_us - self._last.order_us)
        self._last = frame

    def date(self, frame: CodedFrame) -> DatedFrame:
        """A frame that has arrived, with its capture time."""
        return DatedFrame(frame, self._dates.date(frame.pts_us) - self._buffered_us, frame.clock_steps)

    def date_all(self, frames: Sequence[CodedFrame]) -> tuple[list[DatedFrame], InputFault | None]:
        """Frames that have arrived together, dated up to one that must not follow, and what is wrong with that one."""
        dated: list[DatedFrame] = []
        for frame in frames:
            before = self._doubtful[-1] if self._doubtful else self._last
            if self._timed and before is not None and not are_apart(before, frame):
                self._doubtful.append(frame)
                assert self._last is not None
                if stand_still(self._last, self._doubtful):
                    return dated, WrongTimes(STAND_STILL)
                continue
            doubtful, self._doubtful = self._doubtful, []
            try:
                for one in (*doubtful, frame):
                    self._follow(one)
                    dated.append(self.date(one))
            except InputFault as fault:
                return dated, fault
        return dated, None

    def _follow(self, frame: CodedFrame) -> None:
        """A frame has arrived.

        Raises:
            InputFault: it must not follow the last one.
        """
        last, limit_us = self._last, self._limit_s * US_PER_SECOND
        # Those that are missing between the two did not come late.
        if last is not None and self._intervals and frame.order_us - last.order_us > limit_us:
            came_along = frame.clock_steps == last.clock_steps and frame.arrived_us - last.arrived_us < limit_us / 2
            raise WrongTimes(JUMPED) if came_along else InputFault(f"no frame for {self._limit_s:g} s")
        self.observe(frame)
