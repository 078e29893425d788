"""Days: how much was recorded on each, for a calendar."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.store.viewing import Viewing

MOST_DAYS = 62
"""A calendar shows a month, with the weeks around it."""
_APART_US = 300 * US_PER_SECOND
"""Gaps shorter than that do not show in a calendar, and need not be counted."""


async def stored_by_day(viewing: Viewing, asked: Range, zone: tzinfo | None = None) -> dict[str, int]:
    """Seconds that are stored of each day of a range on which anything is. The days are those of `days_of`.

    Raises:
        RequestError: it has too many days.
    """
    stored: dict[str, int] = {}
    newest_us = await viewing.newest_us() or 0
    for name, day in days_of(asked, zone):
        within = Range(max(day.from_us, asked.from_us), min(day.to_us, asked.to_us))
        if stored_us := viewing.stored_us(within, _APART_US):
            stored[name] = stored_us // US_PER_SECOND
        if within.from_us < newest_us <= within.to_us:  # the open segment belongs to it
            stored.setdefault(name, 1)
        await asyncio.sleep(0)
    return stored


def days_of(asked: Range, zone: tzinfo | None = None) -> Iterator[tuple[str, Range]]:
    """The days of a time zone, or of this machine's, that a range has, by name. One may have 23 or 25 hours.

    Raises:
        RequestError: there are too many.
    """
    if asked.to_us - asked.from_us > MOST_DAYS * 86_400 * US_PER_SECOND:
        expected = f"a time at most {MOST_DAYS} days after the beginning"
        raise RequestError("field-wrong", field="to_us", value=asked.to_us, expected=expected)
    begin = datetime.fromtimestamp(asked.from_us // US_PER_SECOND, zone)
    day = begin.replace(hour=0, minute=0, second=0, fold=0)
    while (from_us := _us(day)) < asked.to_us:
        following = day + timedelta(days=1)
        yield f"{day:%Y-%m-%d}", Range(from_us, _us(following))
        day = following


def day_of(time_us: int, zone: tzinfo | None = None) -> str:
    """The name of the day of a time in a time zone, or in this machine's."""
    return f"{datetime.fromtimestamp(time_us // US_PER_SECOND, zone):%Y-%m-%d}"


def _us(local: datetime) -> int:
    return round(local.timestamp()) * US_PER_SECOND
