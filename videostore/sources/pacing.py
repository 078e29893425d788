"""When the frames of an input are passed on, and the capture time that each of them gets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from videostore.base.clock import SteadyClock
from videostore.base.constants import CAMERA_SILENCE_S, CAMERA_SLOW_FACTOR, US_PER_SECOND
from videostore.sources.arrival_time import ArrivalTimeEstimator
from videostore.sources.handover import CodedFrame
from videostore.sources.input_profile import InputFault

ARRIVAL_SETTLE_S = 0.5
"""At the start of a live input, arrivals are observed for this long before the first frame is dated: the frames that
ffmpeg needed to analyse the stream come late, and all at once."""

AT_ONCE = 8
CATCH_UP_S = 0.02
"""Of frames that are read together, so many are passed on, and then there is a pause: the recorder drops what does not
fit into its backlog. At the start it is a pause behind each, since the recorder's ffmpeg starts meanwhile."""

STALL_PATIENCE_S = 4.5
"""A network that stands still for so long delays frames, and loses none if the connection is kept. Frames that come
later than `CAPTURED_AT_PLAUSIBLE_US` could not be told from timestamps that jump."""

_INTERVALS = 8
"""This many frame intervals tell how slow an input usually is."""


_SHORTEST_INTERVAL_US = 1000
"""No camera sends frames that are closer together."""


class FrameReader(Protocol):
    """What frames are read from: a `Demuxer`."""

    @property
    def waiting(self) -> bool:
        """Whether another frame has arrived already."""

    async def next(self, within_s: float | None) -> CodedFrame | None:
        """The next frame; None at the end. Raises asyncio's TimeoutError if none comes in time."""


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
) -> AsyncIterator[DatedFrame]:
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
            for one in outside:
                yield DatedFrame(one, times.captured_us(one.pts_us + resume_us), clock.steps)
            outside = []
        try:
            frame = await reader.next(patience_s)
        except asyncio.TimeoutError as error:
            raise InputFault(f"no frame within {patience_s:g} s") from error


async def pace_live(
    reader: FrameReader, first: CodedFrame, clock: SteadyClock, *, patience_s: float
) -> AsyncIterator[DatedFrame]:
    """Yield the frames of a live input as they arrive, dated by their arrival times.

    The first frames are held back until it is known how much they were delayed. `patience_s` is how long a frame may
    take until the usual frame interval is known.

    Raises:
        InputFault: no frame came in time, or the input's timestamps jumped.
    """
    held, ended = await _settle(reader, first, clock)
    _date_first(held)
    dates, steps = ArrivalTimeEstimator(), -1
    observed: deque[CodedFrame] = deque()
    intervals: deque[int] = deque(maxlen=_INTERVALS)
    last_us: int | None = None
    limit_s, passed, at_once = patience_s, 0, 1
    while True:
        while held:
            frame = held.popleft()
            if frame.clock_steps != steps:
                dates, steps = ArrivalTimeEstimator(), frame.clock_steps
            if not dates.observe(frame.pts_us, frame.arrived_us):
                raise InputFault("its timestamps jumped")
            if last_us is not None:
                intervals.append(frame.order_us - last_us)
            last_us = frame.order_us
            observed.append(frame)
        while observed:
            frame = observed.popleft()
            yield DatedFrame(frame, dates.date(frame.pts_us), frame.clock_steps)
            passed += 1
            if passed >= at_once and (observed or reader.waiting):
                passed = 0
                await asyncio.sleep(CATCH_UP_S)
        if ended:
            return
        if not reader.waiting:
            passed, at_once = 0, AT_ONCE
            usual_s = statistics.median(intervals) / US_PER_SECOND if intervals else 0.0
            limit_s = max(CAMERA_SILENCE_S, CAMERA_SLOW_FACTOR * usual_s) if intervals else patience_s
        wait_s = max(limit_s, STALL_PATIENCE_S) if intervals else limit_s
        try:
            following = await reader.next(wait_s)
        except asyncio.TimeoutError as error:
            raise InputFault(f"no frame for {wait_s:g} s") from error
        if following and intervals and following.order_us - (last_us or 0) > limit_s * US_PER_SECOND:
            raise InputFault(f"no frame for {limit_s:g} s")  # those that are missing did not come late
        ended = following is None
        held += [following] if following else []


def _date_first(held: deque[CodedFrame]) -> None:
    """Give the first frame its distance from the second if it came without a time of its own.

    Servers such as GStreamer's send it so over RTSP; ffmpeg then dates it as the second one.
    """
    if len(held) < 3:
        return
    pts_us = [frame.pts_us for frame in held]
    usual_us = round(statistics.median(later - earlier for earlier, later in itertools.pairwise(pts_us[1:])))
    if usual_us >= _SHORTEST_INTERVAL_US > pts_us[1] - pts_us[0]:
        held[0] = held[0]._replace(pts_us=pts_us[1] - usual_us)


async def _settle(reader: FrameReader, first: CodedFrame, clock: SteadyClock) -> tuple[deque[CodedFrame], bool]:
    """The frames that arrive while a live input settles, and whether it ended meanwhile."""
    held = deque([first])
    settled_us = first.arrived_us + round(ARRIVAL_SETTLE_S * US_PER_SECOND)
    ended = False
    while not ended and (left_us := settled_us - clock.now_us()) > 0 and clock.steps == first.clock_steps:
        with contextlib.suppress(asyncio.TimeoutError):
            following = await reader.next(left_us / US_PER_SECOND)
            ended = following is None
            held += [following] if following else []
    return held, ended
