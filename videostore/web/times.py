"""Times in addresses: whole microseconds, or any form that the command line takes."""

from __future__ import annotations

import time
from collections.abc import Mapping

from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.base.time_parsing import moment_us
from videostore.base.timestamps import EARLIEST_US, LATEST_US
from videostore.web.body import TIME

Query = Mapping[str, str]

_DIGITS = 18


def now_us() -> int:
    """The time of this machine's clock."""
    return time.time_ns() // 1000


def bound(query: Query, name: str, after_us: int | None = None, *, clock_us: int | None = None) -> int | None:
    """The time that a query has as `<name>_us`, or in words as `<name>`; None if it has neither. `clock_us` is the time
    that words count from, which is that of the clock otherwise.

    Raises:
        RequestError: it is not a time.
    """
    if (exact := query.get(f"{name}_us")) is not None:
        return number(exact, f"{name}_us", EARLIEST_US, LATEST_US, expected=TIME)
    if (text := query.get(name)) is None:
        return None
    return moment_us(text, name, now_us=now_us() if clock_us is None else clock_us, after_us=after_us)


def bounds(query: Query) -> tuple[int | None, int | None]:
    """Both ends of the range of a query, counted from one moment.

    Raises:
        RequestError: one is not a time.
    """
    clock_us = now_us()
    from_us = bound(query, "from", clock_us=clock_us)
    return from_us, bound(query, "to", from_us, clock_us=clock_us)


def required_range(query: Query) -> Range:
    """The range that a query has to have.

    Raises:
        RequestError: it has none, or an empty one.
    """
    from_us, to_us = bounds(query)
    for name, value in (("from_us", from_us), ("to_us", to_us)):
        if value is None:
            raise RequestError("field-missing", field=name, expected=TIME)
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


def number(text: str, field: str, least: int, most: int, *, expected: str | None = None) -> int:
    """A whole number of a query. `expected` says what it has to be, if that is more than its bounds.

    Raises:
        RequestError: it is none, or is not within its bounds.
    """
    digits = text.removeprefix("-")
    value = int(text) if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS else None
    if value is None or not least <= value <= most:
        expected = expected or f"a whole number from {least} to {most}"
        raise RequestError("field-wrong", field=field, value=text, expected=expected)
    return value
