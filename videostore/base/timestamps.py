"""Reads timestamps in the form of the Go module's commands, local or UTC, into microseconds since 1970."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import TimestampError, shown

FORMS = "YYYY-MM-DD_HH-MM-SS (local time) or YYYY-MM-DD_HH-MM-SSZ (UTC)"
"""The accepted forms, as error messages name them."""

_PATTERN = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})_([0-9]{2})-([0-9]{2})-([0-9]{2})(?:\.([0-9]{1,9}))?(Z?)",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 24 * 3600 * US_PER_SECOND

# Kept two days away from the ends of the calendar, so that whatever was parsed can be written in every time zone.
_EARLIEST_US = (datetime.min.replace(tzinfo=timezone.utc) - _EPOCH) // _MICROSECOND + 2 * _DAY_US
_LATEST_US = (datetime.max.replace(tzinfo=timezone.utc) - _EPOCH) // _MICROSECOND - 2 * _DAY_US


def parse_timestamp(text: object, field: str) -> int:
    """Read a timestamp into microseconds since the Unix epoch, UTC.

    Accepts `YYYY-MM-DD_HH-MM-SS` in local time and the same with `Z` behind it in UTC, each with an optional fraction
    of a second of one to nine digits (`…-45.250Z`); what is finer than a microsecond is cut off. A local time that
    occurs twice, at the end of daylight saving, means the first of the two. One that does not occur, at its beginning,
    is read with the offset that held before the change: 02:30 becomes 03:30 of the new time.

    Raises TimestampError, which names `field`, the value and both forms, for everything else, None included.
    """
    if text is None:
        raise TimestampError(f'parsing time "{field}": the field is missing; it takes {FORMS}')
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise TimestampError(f'parsing time "{field}": {shown(text)} is not of the form {FORMS}')
    *numbers, fraction, zulu = match.groups()
    try:
        moment = datetime(*map(int, numbers), tzinfo=timezone.utc if zulu else None)  # type: ignore[misc,arg-type]
        seconds = round(moment.timestamp())
    except (ValueError, OverflowError, OSError):
        seconds = None
    if seconds is not None:
        us = seconds * US_PER_SECOND + int((fraction or "0").ljust(6, "0")[:6])
        if _EARLIEST_US <= us <= _LATEST_US:
            return us
    raise TimestampError(
        f'parsing time "{field}": {shown(text)} is no moment of the calendar, though of the form {FORMS}'
    )
