"""A moment as people and programs name it: in any form that is told apart without a guess."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import TypeAlias

import pytimeparse2
from dateutil.parser import isoparser

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import TimestampError, shown
from videostore.base.timestamps import _EARLIEST_US, _LATEST_US, parse_timestamp
from videostore.base.timestamps import FORMS as COMMAND_FORMS

Moment: TypeAlias = int | datetime | str
"""Microseconds since 1970 (UTC); a datetime, local where it names no zone; or one of the `FORMS`."""

FORMS = (
    "2026-11-22T16:39:20Z (RFC 3339), 2026-11-22 16:39:20 (local time), 16:39:20 (the last time it was that), "
    "-5m or -1h30m (before now), now, or " + COMMAND_FORMS
)
"""The accepted forms of a text, as error messages name them."""

_ISO = isoparser()
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt _]\d\d:\d\d.*)?", re.ASCII)
_TIME_OF_DAY = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?", re.ASCII)
_COMMAND = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d.*", re.ASCII)
_RELATIVE = re.compile(r"([-+])\s*([0-9.].*)")
_LENGTH = re.compile(r"(?:(?:[0-9]{1,12}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})\s*(?:w|d|h|m|min|s)\s*)+")
"""Every figure has its unit: `1:30`, `5` and `1mo` may be meant in more ways than one."""


def moment_us(moment: Moment, field: str, *, now_us: int, after_us: int | None = None) -> int:
    """A moment as microseconds since 1970, UTC. `field` is how errors call it.

    A text may be relative: `-5m` is before `now_us`, and `+30s` is after `after_us`, where that is given. A datetime or
    a text without a zone is local time; one that occurs twice is the first of the two (a datetime's `fold` may say
    otherwise), and one that the clocks were put forward over is refused. A time of day is the last time that it was
    that.

    Raises:
        TimestampError: it is no moment, or not to be told apart; the sentence names the field, the value and the forms.
    """
    found_us = _read(moment, field, now_us, after_us)
    if not _EARLIEST_US <= found_us <= _LATEST_US:
        raise _no_moment(moment, field)
    return found_us


def length_s(text: str) -> float | None:
    """A length such as `90s`, `1h30m` or `1.5 h` in seconds; None where it is none, or would be a guess."""
    if _LENGTH.fullmatch(text) is None:
        return None
    seconds = pytimeparse2.parse(text)
    return float(seconds) if isinstance(seconds, (int, float)) else None


def _read(moment: Moment, field: str, now_us: int, after_us: int | None) -> int:
    if isinstance(moment, bool) or not isinstance(moment, (int, datetime, str)):
        raise TimestampError(
            f"{field!r} is {shown(moment)}: it must be whole microseconds since 1970 (UTC), a datetime, or a text such "
            "as '2026-11-22T16:39:20Z'."
        )
    if isinstance(moment, int):
        return moment
    if isinstance(moment, datetime):
        return _datetime_us(moment, field)
    text = moment.strip()
    if text.lower() == "now":
        return now_us
    if relative := _RELATIVE.fullmatch(text):
        return _relative_us(relative, moment, field, now_us, after_us)
    if _COMMAND.fullmatch(text):
        return parse_timestamp(text, field)
    try:
        if _TIME_OF_DAY.fullmatch(text):
            of_day = _ISO.parse_isotime(text)
            if after_us is not None:
                return _first_us(of_day, text, after_us, field)
            return _last_us(of_day, text, now_us, field)
        if _DATE.fullmatch(text):
            return _datetime_us(_ISO.isoparse(text.upper()), field)
    except ValueError:
        pass
    hint = "" if after_us is None else " +30s (after the beginning),"
    raise TimestampError(f"{field!r} is {shown(moment)}, which is no moment: it must be{hint} {FORMS}.")


def _relative_us(relative: re.Match[str], text: str, field: str, now_us: int, after_us: int | None) -> int:
    sign, length = relative.groups()
    seconds = length_s(length)
    if seconds is None:
        raise TimestampError(
            f"{field!r} is {shown(text)}: it must be a length such as {sign}90s, {sign}5m or {sign}1h30m, in the units "
            "w, d, h, m and s."
        )
    length_us = round(seconds * US_PER_SECOND)
    if sign == "-":
        return now_us - length_us
    if after_us is None:
        raise TimestampError(f"{field!r} is {shown(text)}, which lies in the future: only the end can be given so.")
    return after_us + length_us


def _datetime_us(moment: datetime, field: str) -> int:
    try:
        seconds = round(moment.replace(microsecond=0).timestamp())
        occurs = moment.tzinfo is not None or _occurs(moment)
    except (ValueError, OverflowError, OSError):
        raise _no_moment(moment, field) from None
    if not occurs:
        raise _passed_over(moment, str(moment), field)
    return seconds * US_PER_SECOND + moment.microsecond


def _occurs(local: datetime) -> bool:
    """Whether the clocks showed it: in spring an hour is left out."""
    whole = local.replace(microsecond=0, fold=0)
    return datetime.fromtimestamp(whole.timestamp()).replace(fold=0) == whole


def _last_us(of_day: time, text: str, now_us: int, field: str) -> int:
    """When it was this time of day for the last time."""
    today = datetime.fromtimestamp(now_us // US_PER_SECOND).date()
    for day in (today, today - timedelta(days=1)):
        local = datetime.combine(day, of_day)
        if not _occurs(local):
            if local.timestamp() * US_PER_SECOND <= now_us:
                raise _passed_over(local, text, field)
            continue
        for fold in (1, 0):  # at the end of daylight saving an hour occurs twice
            found_us = _datetime_us(local.replace(fold=fold), field)
            if found_us <= now_us:
                return found_us
    return _datetime_us(datetime.combine(today - timedelta(days=2), of_day), field)


def _first_us(of_day: time, text: str, after_us: int, field: str) -> int:
    """When it is this time of day for the first time after a moment."""
    day = datetime.fromtimestamp(after_us // US_PER_SECOND).date()
    for local in (datetime.combine(day, of_day), datetime.combine(day + timedelta(days=1), of_day)):
        if not _occurs(local):
            raise _passed_over(local, text, field)
        for fold in (0, 1):
            found_us = _datetime_us(local.replace(fold=fold), field)
            if found_us > after_us:
                return found_us
    return _datetime_us(datetime.combine(day + timedelta(days=2), of_day), field)


def _passed_over(local: datetime, text: str, field: str) -> TimestampError:
    before, after = (
        datetime.fromtimestamp(local.replace(fold=fold).timestamp()).isoformat(" ", "seconds") for fold in (1, 0)
    )
    return TimestampError(
        f"{field!r} is {shown(text)}, which no clock showed here: on that day they were put forward past it. Name "
        f"{before} or {after}, or a time with its zone."
    )


def _no_moment(moment: Moment, field: str) -> TimestampError:
    value = str(moment) if isinstance(moment, datetime) else moment
    return TimestampError(f"{field!r} is {shown(value)}, which is no moment of the calendar.")
