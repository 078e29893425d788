"""What is asked for: a range of time, read out of two moments and checked against the clock."""

from __future__ import annotations

from videostore.base.clock import Clock
from videostore.base.constants import CLOCK_LEEWAY_US
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.base.time_format import format_utc_exact
from videostore.base.time_parsing import Moment, moment_us
from videostore.storage.timeline import Timeline


def parse_request_range(start: Moment, end: Moment, clock: Clock, timeline: Timeline) -> Range:
    """The range [start, end). An end that lies a little ahead of the clock is now.

    Raises:
        TimestampError: one of the two is no moment.
        RequestError: the range is empty, or lies in the future and nothing is stored there.
    """
    clock_us = clock.wall_us()
    from_us = moment_us(start, "from", now_us=clock_us)
    to_us = moment_us(end, "to", now_us=clock_us, after_us=from_us)
    # What was recorded before the clock was set back lies in the future now, and can be asked for.
    now_us = max(clock_us, timeline.end_within(from_us, to_us) or 0)
    if from_us >= to_us:
        raise RequestError(
            f"'from' ({format_utc_exact(from_us)}) must lie before 'to' ({format_utc_exact(to_us)}),"
            " else the range is empty."
        )
    if to_us > now_us + CLOCK_LEEWAY_US:
        raise RequestError(
            f"'to' ({format_utc_exact(to_us)}) lies in the future: it is {format_utc_exact(clock_us)} here."
        )
    if from_us >= now_us:
        raise RequestError(
            f"'from' ({format_utc_exact(from_us)}) lies in the future: it is {format_utc_exact(clock_us)} here."
        )
    return Range(from_us, min(to_us, now_us))
