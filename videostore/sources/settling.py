"""The first frames of a live input: they are held back until it is known how much they were delayed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from videostore.base.clock import SteadyClock
from videostore.base.constants import CAPTURED_AT_PLAUSIBLE_US, US_PER_SECOND
from videostore.sources.handover import CodedFrame

ARRIVAL_SETTLE_S = 0.5
"""At the start of a live input, arrivals are observed for this long before the first frame is dated: the frames that
ffmpeg needed to analyse the stream come late, and all at once."""

UNTIMED_SETTLE_S = 2.0
"""The same of an input whose frames are dated by their arrivals: these tell how far apart the first ones were, also
of one frame a second."""
SETTLE_MOST_S = 12.0
"""Where ffmpeg holds frames back, others have to follow until it is known when the first ones arrived: those of a slow
camera are waited for so long at most."""
_FOLLOWS_WITHIN = 4
"""And no frame for longer than so many of the usual distances: the camera may have stopped."""
_AT_ONCE_PART = 4
"""Frames that are closer together than this part of the usual distance came together."""

_SHORTEST_INTERVAL_US = 1000
"""No camera sends frames that are closer together."""


_FAR_US = 150 * US_PER_SECOND
"""No camera that is recorded sends frames that are further apart."""
JUMPED = "its timestamps jumped"
STAND_STILL = "its timestamps stand still, or went back"
_CLOSE_US = 1500
_WAITED_US = US_PER_SECOND // 50
_WAITS = 3
_MOST_CLOSE = 100
"""Frames that are closer than that to the one before, though more time than that passed so many times until the next
came: the input's times stand still, or went back, which ffmpeg does not pass on. A camera that was held up may send
some that are as close, all at once: no more than so many."""


class FrameReader(Protocol):
    """What frames are read from: a `Demuxer`."""

    @property
    def waiting(self) -> bool:
        """Whether another frame has arrived already."""

    async def next(self, within_s: float | None) -> CodedFrame | None:
        """The next frame; None at the end. Raises asyncio's TimeoutError if none comes in time."""

    def more(self, most: int) -> list[CodedFrame]:
        """Frames that have arrived already and follow the last one, at most so many."""


def wrong_times(frames: Sequence[CodedFrame]) -> str:
    """What is wrong with the times of the last of these frames; empty if they may be right."""
    last = list(frames)[-2:]
    if len(last) == 2 and abs(last[1].pts_us - last[0].pts_us) > _FAR_US:
        return JUMPED
    last = []
    for frame in reversed(frames):
        if last and are_apart(last[-1], frame):
            break
        last.append(frame)
    return STAND_STILL if stand_still(last[-1], last[-2::-1]) else ""


def stand_still(before: CodedFrame, close: Sequence[CodedFrame]) -> bool:
    """Whether the times of these frames stand still, each of which is close to the one before."""
    waits = (two.arrived_us - one.arrived_us for one, two in itertools.pairwise((before, *close)))
    return sum(wait_us >= _WAITED_US for wait_us in waits) >= _WAITS or len(close) >= _MOST_CLOSE


def are_apart(one: CodedFrame, other: CodedFrame) -> bool:
    """Whether two neighbouring frames may have been captured at such times."""
    return abs(other.pts_us - one.pts_us) >= _CLOSE_US or other.clock_steps != one.clock_steps


def date_first(held: deque[CodedFrame]) -> None:
    """Give the first frame its distance from the second if it came without a time of its own.

    Servers such as GStreamer's send it so over RTSP; ffmpeg then dates it as the second one.
    """
    if len(held) < 3:
        return
    pts_us = [frame.pts_us for frame in held]
    usual_us = round(statistics.median(later - earlier for earlier, later in itertools.pairwise(pts_us[1:])))
    if usual_us >= _SHORTEST_INTERVAL_US > pts_us[1] - pts_us[0]:
        held[0] = held[0]._replace(pts_us=pts_us[1] - usual_us)


def spread_first(held: deque[CodedFrame], opened_us: int) -> None:
    """Give the frames that came all at once at first the usual distance: ffmpeg looked at them, and passed them on
    together. None came before the input was opened."""
    pts_us = [frame.pts_us for frame in held]
    usual_us = (pts_us[-1] - pts_us[0]) // max(len(held) - 1, 1)
    at_once = 0
    while at_once + 1 < len(held) and pts_us[at_once + 1] - pts_us[at_once] < usual_us // _AT_ONCE_PART:
        at_once += 1
    others = len(held) - 1 - at_once
    if not at_once or not others:
        return
    before_us = held[0].arrived_us - opened_us + pts_us[at_once] - pts_us[0]
    usual_us = min((pts_us[-1] - pts_us[at_once]) // others, before_us // at_once)
    for number in range(at_once):
        held[number] = held[number]._replace(pts_us=pts_us[at_once] - (at_once - number) * usual_us)


def let_first_be_prompt(held: deque[CodedFrame]) -> None:
    """Let no frame seem to have been delayed for much longer than a later one: ffmpeg analysed the first ones, and
    passed them on all at once. Of a slow camera that is so late that the timestamps would seem to have jumped."""
    alike = list(itertools.takewhile(lambda one: one.clock_steps == held[0].clock_steps, held))
    delays_us = [one.arrived_us - one.pts_us for one in alike]
    prompt = delays_us.index(min(delays_us))
    for number, one in enumerate(alike[:prompt]):
        if delays_us[number] - delays_us[prompt] > CAPTURED_AT_PLAUSIBLE_US:
            held[number] = one._replace(arrived_us=one.pts_us + delays_us[prompt])


async def settle(
    reader: FrameReader,
    first: CodedFrame,
    clock: SteadyClock,
    within_s: float,
    *,
    timed: bool = True,
    followers: int = 0,
    most_s: float = SETTLE_MOST_S,
) -> tuple[deque[CodedFrame], bool]:
    """The frames that arrive while a live input settles, and whether it ended meanwhile. So many have to follow, about
    as fast as they were captured, those that came at once with the first one, unless none comes for long. Times
    that cannot be right end it, if the input has any (`timed`)."""
    held = deque([first])
    settled_us = first.arrived_us + round(within_s * US_PER_SECOND)
    latest_us = first.arrived_us + round(max(within_s, most_s) * US_PER_SECOND)
    came_us, shown_us = clock.now_us(), first.pts_us
    """When the frame came that is shown last so far, and when it is."""
    distances_us: list[int] = []
    ended = False
    while not ended and clock.steps == first.clock_steps:
        until_us = settled_us
        if followers > 0:
            usual_us = statistics.median(distances_us) if distances_us else latest_us
            until_us = max(settled_us, min(latest_us, came_us + round(_FOLLOWS_WITHIN * usual_us)))
        left_us = until_us - clock.now_us()
        if left_us <= 0:
            break
        with contextlib.suppress(asyncio.TimeoutError):
            following = await reader.next(left_us / US_PER_SECOND)
            if following is None:
                ended = True
                continue
            held.append(following)
            if timed and wrong_times(held):
                break
            distance_us = following.pts_us - shown_us
            if distance_us >= _SHORTEST_INTERVAL_US:
                followers -= 2 * (clock.now_us() - came_us) > distance_us
                distances_us.append(distance_us)
                came_us, shown_us = clock.now_us(), following.pts_us
    return held, ended
