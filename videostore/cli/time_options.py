"""Times, lengths and numbers, as the command line reads and shows them."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from videostore.base.constants import CLOCK_LEEWAY_US, US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.base.time_format import up_to_millisecond
from videostore.base.time_parsing import length_s, moment_us
from videostore.cli.arguments import unescape
from videostore.media.clip_times import TICK_US

_Number = TypeVar("_Number", int, float)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_LONGEST_S = 864e6
"""10000 days."""
_POSITION = re.compile(r"(?:(?:(\d{1,6}):)?([0-5]?\d):(?=[0-5]?\d(?:\.|$)))?(\d{1,9})(?:\.(\d{1,12}))?", re.ASCII)


def now_us() -> int:
    """The current time, in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def parse_time(text: str, field: str) -> int:
    """A time that does not depend on another one, in microseconds since 1970, UTC.

    Raises:
        TimestampError: it is not a valid time.
    """
    return moment_us(unescape(text), field, now_us=now_us())


def parse_range(start: str, end: str) -> Range:
    """The range between two times, of which the second may be relative to the first.

    Raises:
        TimestampError: one is not a valid time.
        RequestError: the range is empty.
    """
    present_us = now_us()
    from_us = moment_us(unescape(start), "from", now_us=present_us)
    to_us = moment_us(unescape(end), "to", now_us=present_us, after_us=from_us)
    check_order("from", from_us, "to", to_us)
    return Range(from_us, to_us)


def check_order(field: str, from_us: int, other: str, to_us: int) -> None:
    """Raises RequestError if the time of one argument is not before that of the other."""
    if from_us >= to_us:
        raise RequestError("from-after-to", field=field, other=other, from_us=from_us, to_us=to_us)


def check_since(since_us: int | None, found: bool) -> None:
    """Raises RequestError if `--since` is in the future and nothing is found there. What was recorded before the clock
    was set back may be."""
    clock_us = now_us()
    if since_us is not None and not found and since_us > clock_us + CLOCK_LEEWAY_US:
        raise RequestError("moment-in-future", field="since", at_us=since_us, clock_us=clock_us)


def parse_length(text: str, option: str, *, may_be_zero: bool = False, most_s: float = _LONGEST_S) -> float:
    """A length such as `90s` or `1h30m`, in seconds.

    Raises:
        RequestError: it is not a valid length, or longer than `most_s`.
    """
    seconds = length_s(unescape(text).strip())
    if seconds is None or seconds < 0 or not (seconds or may_be_zero):
        raise _option_error(text, option, "a length such as 90s, 5m or 1h30m")
    if seconds > most_s:
        raise _option_error(text, option, f"a length of at most {format_length(round(most_s * US_PER_SECOND))}")
    return seconds


def parse_position(text: str) -> tuple[int, int]:
    """A position in a clip such as `12.5`, `1:02.5` or `0:01:02.500`, in microseconds, and how far it may be short.

    Players show a position to the millisecond, without what is left: a frame at 12.345678 as 12.345.

    Raises:
        RequestError: it is not a position, or before the start of the clip.
    """
    written = unescape(text).strip()
    found = _POSITION.fullmatch(written.removeprefix("-"))
    if found is None:
        raise _option_error(text, "POSITION", "seconds, or a time such as 1:02.5 or 0:01:02.500")
    hours, minutes, seconds, decimals = found.groups(default="0")
    position_us = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * US_PER_SECOND + int(f"{decimals:0<6}"[:6])
    if written.startswith("-"):
        raise RequestError("position-negative", field="position", value=-position_us / US_PER_SECOND)
    return position_us, max(TICK_US, 10 ** (6 - min(max(len(decimals), 3), 6)) - 1)


def parse_number(text: str, option: str) -> float:
    """A number.

    Raises:
        RequestError: it is not a number, or too large for one.
    """
    number = _read(float, text)
    if number is None or not math.isfinite(number):
        raise _option_error(text, option, "a number")
    return number


def parse_integer(text: str, option: str) -> int:
    """A whole number.

    Raises:
        RequestError: it is not a whole number.
    """
    number = _read(int, text)
    if number is None:
        raise _option_error(text, option, "a whole number")
    return number


def _read(kind: Callable[[str], _Number], text: str) -> _Number | None:
    """A number in ASCII digits; Python also takes `1_0` and the digits of other scripts."""
    written = unescape(text)
    try:
        return kind(written) if written.isascii() and "_" not in written else None
    except ValueError:
        return None


def _option_error(text: str, option: str, expected: str) -> RequestError:
    return RequestError("option-wrong", field=option, value=unescape(text), expected=expected)


def format_time(time_us: int, *, utc: bool = False, precision: str = "milliseconds") -> str:
    """A time in the form of RFC 3339, local with its UTC offset or in UTC, rounded down to `precision`."""
    exact = _EPOCH + timedelta(microseconds=time_us)
    if utc:
        return exact.isoformat(timespec=precision).replace("+00:00", "Z")
    return exact.astimezone().isoformat(timespec=precision)


def format_range(one: Range, *, utc: bool = False) -> tuple[str, str]:
    """Both ends of a range, rounded outwards to the millisecond: a request for what is shown gets all of the range."""
    return format_time(one.from_us, utc=utc), format_time(up_to_millisecond(one.to_us), utc=utc)


def format_length(length_us: int) -> str:
    """A length in its two largest units, such as `1 h 02 min`."""
    seconds = length_us / US_PER_SECOND
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for (size, unit), (smaller, small_unit) in itertools.pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest:02d} {small_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"
