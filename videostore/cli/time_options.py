"""Times and other figures as the command line takes and shows them."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError, shown
from videostore.base.ranges import Range
from videostore.base.time_parsing import length_s, moment_us

_RELATIVE = re.compile(r"-\s*[0-9.]")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def now_us() -> int:
    """What time it is, UTC."""
    return time.time_ns() // 1000


def shield(arguments: Sequence[str]) -> list[str]:
    """The same arguments, in such a form that `-5m` is not taken for an option; `bare` undoes it."""
    return [f" {argument}" if _RELATIVE.match(argument) else argument for argument in arguments]


def bare(argument: str) -> str:
    """An argument as it was given."""
    return argument[1:] if argument.startswith(" ") and _RELATIVE.match(argument[1:]) else argument


def parse_moment(text: str, field: str) -> int:
    """A moment that was given alone.

    Raises:
        TimestampError: it is none.
    """
    return moment_us(bare(text), field, now_us=now_us())


def parse_range(start: str, end: str) -> Range:
    """The range between two moments.

    Raises:
        TimestampError: one is no moment.
        RequestError: it is empty.
    """
    present_us = now_us()
    from_us = moment_us(bare(start), "from", now_us=present_us)
    to_us = moment_us(bare(end), "to", now_us=present_us, after_us=from_us)
    if from_us >= to_us:
        raise RequestError(f"FROM ({written(from_us)}) must lie before TO ({written(to_us)}), else the range is empty.")
    return Range(from_us, to_us)


def parse_length(text: str, option: str) -> float:
    """A length such as `90s` or `1h30m`, in seconds.

    Raises:
        RequestError: it is none.
    """
    seconds = length_s(bare(text).strip())
    if seconds is None or not 0 < seconds < 1e9:
        raise RequestError(f"{option} is {shown(bare(text))}: it must be a length such as 90s, 5m or 1h30m.")
    return seconds


def parse_number(text: str, option: str) -> float:
    """A number.

    Raises:
        RequestError: it is none.
    """
    try:
        return float(bare(text))
    except ValueError:
        raise RequestError(f"{option} is {shown(bare(text))}: it must be a number.") from None


def parse_whole(text: str, option: str) -> int:
    """A whole number.

    Raises:
        RequestError: it is none.
    """
    try:
        return int(bare(text))
    except ValueError:
        raise RequestError(f"{option} is {shown(bare(text))}: it must be a whole number.") from None


def written(time_us: int, *, utc: bool = False, precision: str = "milliseconds") -> str:
    """A time in the form of RFC 3339, local with its zone, or UTC; cut off behind `precision`."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    if utc:
        return moment.isoformat(timespec=precision).replace("+00:00", "Z")
    return moment.astimezone().isoformat(timespec=precision)


def written_within(one: Range, *, utc: bool = False) -> tuple[str, str]:
    """Both ends of a range in whole seconds that lie inside of it, so that all between them is stored."""
    from_us = -(-one.from_us // US_PER_SECOND) * US_PER_SECOND
    to_us = one.to_us // US_PER_SECOND * US_PER_SECOND
    if from_us < to_us:
        return written(from_us, utc=utc, precision="seconds"), written(to_us, utc=utc, precision="seconds")
    return written(one.from_us, utc=utc, precision="microseconds"), written(
        one.to_us, utc=utc, precision="microseconds"
    )


def length(length_us: int) -> str:
    """A length for people: its two largest units."""
    seconds = length_us / US_PER_SECOND
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for (size, unit), (smaller, small_unit) in itertools.pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest:02d} {small_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"
