"""Reads a time as people and programs write it: in any form that has only one meaning."""

from __future__ import annotations

import math
import re
from datetime import datetime, time, timedelta
from typing import TypeAlias

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import TimestampError
from videostore.base.timestamps import CALENDAR, EARLIEST_US, LATEST_US, YEAR_0, around_skipped, occurs, parse_timestamp
from videostore.base.timestamps import FORMS as TIMESTAMP_FORMS

Moment: TypeAlias = int | datetime | str
"""Microseconds since 1970 (UTC); a datetime, local if it has no zone; or one of the `FORMS`."""

FORMS = (
    "2026-11-22T16:39:20Z (RFC 3339), 2026-11-22 16:39:20 (local time), 16:39:20 (the last time it was that), "
    "-5m or -1h30m (before now), now, or " + TIMESTAMP_FORMS
)
"""The accepted forms of a text, as error messages describe them."""

_END_FORMS = f"+30s (after the beginning), {FORMS}"

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt _]\d\d:\d\d.*)?", re.ASCII)
_TIME_OF_DAY = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d.*", re.ASCII)
_RELATIVE = re.compile(r"([-+])\s*([0-9.].*)")
_LENGTH = re.compile(r"(?:(?:[0-9]{1,30}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})\s*(?:w|d|h|m|min|s)\s*)+")
"""Every number needs a unit: `1:30`, `5` and `1mo` have more than one meaning."""


def moment_us(moment: Moment, field: str, *, now_us: int, after_us: int | None = None) -> int:
    """Return a time as microseconds since 1970, UTC. `field` is its name in errors.

    A text may be relative: `-5m` is before `now_us`; `+30s` is after `after_us`, if that is given. A datetime or a text
    without a zone is local time. If that occurs twice, it is the first of the two (a datetime's `fold` may select the
    other); if it does not occur, because clocks skipped it, it is refused. A time of day is the last one before
    `now_us`; or, if `after_us` is given, the first one after that.

    Raises:
        TimestampError: it is not a time, has more than one meaning, is outside `CALENDAR`, or did not occur.
    """
    found_us = _read(moment, field, now_us, after_us)
    if not EARLIEST_US <= found_us <= LATEST_US:
        raise _beyond(moment, field)
    return found_us


def length_s(text: str) -> float | None:
    """A length such as `90s`, `1h30m` or `1.5 h` in seconds; None if it is not one, or has more than one meaning.

    It is infinite if it is longer than can be counted."""
    if _LENGTH.fullmatch(text) is None:
        return None
    import pytimeparse2  # here, as the other parser below, because most processes read neither

    try:
        seconds = pytimeparse2.parse(text, raise_exception=True)
    except OverflowError:
        return math.inf
    except ValueError:  # a unit twice, for instance
        return None
    return float(seconds) if isinstance(seconds, (int, float)) else None


def _read(moment: Moment, field: str, now_us: int, after_us: int | None) -> int:
    if isinstance(moment, bool) or not isinstance(moment, (int, datetime, str)):
        raise TimestampError("time-type", field=field, value=moment)
    if isinstance(moment, int):
        return moment
    if isinstance(moment, datetime):
        return _datetime_us(moment, moment, field)
    text = moment.strip()
    if text.lower() == "now":
        return now_us
    if relative := _RELATIVE.fullmatch(text):
        return _relative_us(relative, moment, field, now_us, after_us)
    if _TIMESTAMP.fullmatch(text):
        return parse_timestamp(text, field)
    from dateutil.parser import isoparser

    try:
        if _TIME_OF_DAY.fullmatch(text):
            of_day = isoparser().parse_isotime(text)
            if after_us is not None:
                return _first_us(of_day, text, after_us, field)
            return _last_us(of_day, text, now_us, field)
        if _DATE.fullmatch(text):
            return _datetime_us(isoparser().isoparse(text.upper()), text, field)
    except OverflowError:  # 24:00 of the last day
        raise _beyond(text, field) from None
    except ValueError:
        if text.startswith(YEAR_0) and _DATE.fullmatch(text):
            raise _beyond(text, field) from None
    raise TimestampError("time-form", field=field, value=moment, expected=FORMS if after_us is None else _END_FORMS)


def _relative_us(relative: re.Match[str], text: str, field: str, now_us: int, after_us: int | None) -> int:
    sign, length = relative.groups()
    seconds = length_s(length)
    if seconds is None:
        raise TimestampError("length-form", field=field, value=text, sign=sign)
    if math.isinf(seconds):
        raise _beyond(text, field)
    length_us = round(seconds * US_PER_SECOND)
    if sign == "-":
        return now_us - length_us
    if after_us is None:
        raise TimestampError("start-in-future", field=field, value=text)
    return after_us + length_us


def _datetime_us(moment: datetime, given: Moment, field: str) -> int:
    try:
        seconds = round(moment.replace(microsecond=0).timestamp())
        skipped = moment.tzinfo is None and not occurs(moment)
    except (ValueError, OverflowError, OSError):
        raise _beyond(given, field) from None
    if skipped:
        raise _skipped(moment, str(moment), field)
    return seconds * US_PER_SECOND + moment.microsecond


def _last_us(of_day: time, text: str, now_us: int, field: str) -> int:
    """The last time before now that it was this time of day."""
    today = datetime.fromtimestamp(now_us // US_PER_SECOND).date()
    for day in (today, today - timedelta(days=1)):
        local = datetime.combine(day, of_day)
        if not occurs(local):
            if local.timestamp() * US_PER_SECOND <= now_us:
                raise _skipped(local, text, field)
            continue
        for fold in (1, 0):  # at the end of daylight saving time an hour occurs twice
            found_us = _datetime_us(local.replace(fold=fold), text, field)
            if found_us <= now_us:
                return found_us
    return _datetime_us(datetime.combine(today - timedelta(days=2), of_day), text, field)


def _first_us(of_day: time, text: str, after_us: int, field: str) -> int:
    """The first time after another one that it is this time of day."""
    day = datetime.fromtimestamp(after_us // US_PER_SECOND).date()
    for local in (datetime.combine(day, of_day), datetime.combine(day + timedelta(days=1), of_day)):
        if not occurs(local):
            raise _skipped(local, text, field)
        for fold in (0, 1):
            found_us = _datetime_us(local.replace(fold=fold), text, field)
            if found_us > after_us:
                return found_us
    return _datetime_us(datetime.combine(day + timedelta(days=2), of_day), text, field)


def _skipped(local: datetime, text: str, field: str) -> TimestampError:
    before, after = (one.isoformat(" ", "seconds") for one in around_skipped(local))
    return TimestampError("time-skipped", field=field, value=text, before=before, after=after)


def _beyond(moment: Moment, field: str) -> TimestampError:
    value = str(moment) if isinstance(moment, datetime) else moment
    return TimestampError("time-beyond", field=field, value=value, expected=CALENDAR)
