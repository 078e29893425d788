"""Parses and validates the time range of a request."""

from __future__ import annotations

from videostore.base.clock import Clock
from videostore.base.constants import CLOCK_LEEWAY_US
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.base.time_parsing import Moment, moment_us
from videostore.base.timestamps import LATEST_US
from videostore.storage.timeline import Timeline


def parse_request_range(
    start: Moment, end: Moment, clock: Clock, timeline: Timeline, *, keep_future: bool = False
) -> Range:
    """The range [start, end). An end slightly ahead of the clock is taken as now.

    An end further ahead is refused. With `keep_future` it stays as it is, so that the answer says what is missing, and
    only a start in the future is refused.

    Raises:
        TimestampError: one of the two is not a valid time.
        RequestError: the range is empty, or is in the future and nothing is stored there.
    """
    clock_us = clock.wall_us()
    from_us = moment_us(start, "from", now_us=clock_us)
    to_us = moment_us(end, "to", now_us=clock_us, after_us=from_us)
    # Video from before the clock was set back is in the future now, and can be requested.
    now_us = max(clock_us, timeline.end_within(from_us, to_us) or 0)
    if from_us >= to_us:
        raise RequestError("range-empty", from_us=from_us, to_us=to_us, clock_us=clock_us)
    ahead = to_us > now_us + CLOCK_LEEWAY_US
    if ahead and not keep_future:
        raise RequestError("to-in-future", field="to", from_us=from_us, to_us=to_us, clock_us=clock_us)
    if from_us >= now_us:
        raise RequestError("from-in-future", field="from", from_us=from_us, to_us=to_us, clock_us=clock_us)
    return Range(from_us, to_us if ahead else min(to_us, now_us))


def parse_moment(at: Moment, clock: Clock, timeline: Timeline) -> int:
    """A moment that has passed, in microseconds UTC. One slightly ahead of the clock is taken as now.

    Raises:
        TimestampError: it is not a valid time.
        RequestError: it is in the future and nothing is stored then.
    """
    clock_us = clock.wall_us()
    at_us = moment_us(at, "at", now_us=clock_us)
    if at_us <= clock_us or timeline.end_within(at_us, at_us + 1) is not None:
        return at_us
    if at_us > clock_us + CLOCK_LEEWAY_US:
        raise RequestError("moment-in-future", field="at", at_us=at_us, clock_us=clock_us)
    return clock_us


def follow_range(from_us: int, to_us: int | None, now_us: int) -> Range:
    """The range of a video that goes on with the recording; without an end it goes on for ever.

    Raises:
        RequestError: it is empty, or begins in the future.
    """
    if to_us is not None and from_us >= to_us:
        raise RequestError("range-empty", from_us=from_us, to_us=to_us, clock_us=now_us)
    if from_us > now_us + CLOCK_LEEWAY_US:
        raise RequestError("from-in-future", field="from", from_us=from_us, to_us=to_us or from_us, clock_us=now_us)
    return Range(min(from_us, now_us), LATEST_US if to_us is None else to_us)
