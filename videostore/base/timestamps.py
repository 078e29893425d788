"""Reads timestamps in the form of the Go module's commands, local or UTC, as microseconds since 1970."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import TimestampError

FORMS = "YYYY-MM-DD_HH-MM-SS (local time) or YYYY-MM-DD_HH-MM-SSZ (UTC)"
"""The accepted forms, as error messages describe them."""

_PATTERN = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})_([0-9]{2})-([0-9]{2})-([0-9]{2})(?:\.([0-9]{1,9}))?(Z?)",
)
YEAR_0 = "0000"
"""No `datetime` has it, but it is no mistake in the form of a time."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 24 * 3600 * US_PER_SECOND

EARLIEST_US = (datetime.min.replace(tzinfo=timezone.utc) - _EPOCH) // _MICROSECOND + 2 * _DAY_US
LATEST_US = (datetime.max.replace(tzinfo=timezone.utc) - _EPOCH) // _MICROSECOND - 2 * _DAY_US
"""Two days from the ends of the calendar: every time between them can be written in every time zone."""
CALENDAR = "0001-01-03 to 9999-12-29 (UTC)"
"""The days that these are, as error messages name them."""


def parse_timestamp(text: object, field: str, *, shift_skipped: bool = False) -> int:
    """Read a timestamp as microseconds since the Unix epoch, UTC. `field` is its name in errors.

    Accepts `YYYY-MM-DD_HH-MM-SS` in local time, and the same followed by `Z` in UTC, each with an optional fraction of
    a second of one to nine digits (`…-45.250Z`). A fraction is truncated to microseconds. A local time that occurs
    twice, at the end of daylight saving time, is the first of the two. One that does not occur, because clocks skipped
    it at its beginning, is refused; with `shift_skipped` it is read with the offset from before the change, so that
    02:30 is 03:30 of the new time: a file keeps its name when the machine's time zone is changed.

    Raises:
        TimestampError: it is missing, does not have this form, is no date, is outside `CALENDAR`, or did not occur.
    """
    if text is None:
        raise TimestampError("timestamp-missing", field=field, expected=FORMS)
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise TimestampError("timestamp-form", field=field, value=text, expected=FORMS)
    *numbers, fraction, zulu = match.groups()
    try:
        moment = datetime(*map(int, numbers), tzinfo=timezone.utc if zulu else None)  # type: ignore[misc,arg-type]
    except ValueError:
        if numbers[0] == YEAR_0:
            raise TimestampError("timestamp-beyond", field=field, value=text, expected=CALENDAR) from None
        raise TimestampError("timestamp-no-date", field=field, value=text, expected=FORMS) from None
    try:
        us = round(moment.timestamp()) * US_PER_SECOND + int((fraction or "0").ljust(6, "0")[:6])
        skipped = not zulu and not shift_skipped and not occurs(moment)
    except (ValueError, OverflowError, OSError):  # a year's end in another time zone is in a year 0 or 10000
        raise TimestampError("timestamp-beyond", field=field, value=text, expected=CALENDAR) from None
    if not EARLIEST_US <= us <= LATEST_US:
        raise TimestampError("timestamp-beyond", field=field, value=text, expected=CALENDAR)
    if skipped:
        before, after = (f"{one:%Y-%m-%d_%H-%M-%S}" for one in around_skipped(moment))
        raise TimestampError("timestamp-skipped", field=field, value=text, before=before, after=after)
    return us


def occurs(local: datetime) -> bool:
    """Whether the clocks showed this local time: in spring they skip an hour."""
    whole = local.replace(microsecond=0, fold=0)
    return datetime.fromtimestamp(whole.timestamp()).replace(fold=0) == whole


def around_skipped(local: datetime) -> tuple[datetime, datetime]:
    """The local times that one that clocks skipped can stand for, by the offset after the change and before it."""
    whole = local.replace(microsecond=0)
    before, after = (datetime.fromtimestamp(whole.replace(fold=fold).timestamp()) for fold in (1, 0))
    return before, after
