"""Times in addresses: whole microseconds, or any form that the command line takes."""

from __future__ import annotations

import time
from collections.abc import Mapping

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.base.time_parsing import moment_us
from videostore.base.timestamps import CALENDAR, EARLIEST_US, LATEST_US

Query = Mapping[str, str]

_DIGITS = 18


def now_us() -> int:
    """The time of this machine's clock."""
    return time.time_ns() // 1000


def bound(query: Query, name: str, after_us: int | None = None) -> int | None:
    """The time that a query has as `<name>_us`, or in words as `<name>`; None if it has neither.

    Raises:
        RequestError: it is not a time.
    """
    if (exact := query.get(f"{name}_us")) is not None:
        time_us = number(exact, f"{name}_us")
        if not EARLIEST_US <= time_us <= LATEST_US:
            expected = f"microseconds since 1970 (UTC), of the days {CALENDAR}"
            raise RequestError("field-wrong", field=f"{name}_us", value=exact, expected=expected)
        return time_us
    if (text := query.get(name)) is None:
        return None
    return moment_us(text, name, now_us=now_us(), after_us=after_us)


def required_range(query: Query) -> Range:
    """The range that a query has to have.

    Raises:
        RequestError: it has none, or an empty one.
    """
    from_us = bound(query, "from")
    to_us = bound(query, "to", from_us)
    for name, value in (("from_us", from_us), ("to_us", to_us)):
        if value is None:
            raise RequestError("field-missing", field=name, expected="microseconds since 1970 (UTC)")
    assert from_us is not None and to_us is not None
    return checked_range(from_us, to_us)


def checked_range(from_us: int, to_us: int) -> Range:
    """A range.

    Raises:
        RequestError: it is empty.
    """
    if from_us >= to_us:
        raise RequestError("range-empty", from_us=from_us, to_us=to_us, clock_us=now_us())
    return Range(from_us, to_us)


def number(text: str, field: str, least: int = -(1 << 62), most: int = 1 << 62) -> int:
    """A whole number of a query.

    Raises:
        RequestError: it is none, or is not within its bounds.
    """
    digits = text.removeprefix("-")
    value = int(text) if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS else None
    if value is None or not least <= value <= most:
        expected = "a whole number" if least < -US_PER_SECOND else f"a whole number from {least} to {most}"
        raise RequestError("field-wrong", field=field, value=text, expected=expected)
    return value
