"""A moment as people and programs name it: in any form that is told apart without a guess."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import TypeAlias

import pytimeparse2
from dateutil.parser import isoparser

from videostore.const import US_PER_SECOND
from videostore.errors import TimestampError, shown
from videostore.timestamps import FORMS as COMMAND_FORMS
from videostore.timestamps import parse_timestamp

Moment: TypeAlias = int | datetime | str
"""Microseconds since 1970 (UTC); a datetime, local where it names no zone; or one of the `FORMS`."""

FORMS = (
    "2026-11-22T16:39:20Z (RFC 3339), 2026-11-22 16:39:20 (local time), 16:39:20 (the last time it was that), "
    "-5m or -1h30m (before now), now, or " + COMMAND_FORMS
)
"""The accepted forms of a text, as error messages name them."""

_ISO = isoparser()
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt _]\d\d:\d\d.*)?")
_TIME_OF_DAY = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?")
_COMMAND = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d.*")
_LENGTH = re.compile(r"([-+])\s*(\d.*)")


def moment_us(moment: Moment, field: str, *, now_us: int, after_us: int | None = None) -> int:
    """A moment as microseconds since 1970, UTC. `field` is how errors call it.

    A text may be relative: `-5m` is before `now_us`, and `+30s` is after `after_us`, where that is given. A datetime or
    a text without a zone is local time; one that occurs twice is the first of the two.

    Raises:
        TimestampError: it is no moment, or not to be told apart; the sentence names the field, the value and the forms.
    """
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
    if relative := _LENGTH.fullmatch(text):
        return _relative_us(relative, moment, field, now_us, after_us)
    if _COMMAND.fullmatch(text):
        return parse_timestamp(text, field)
    try:
        if _TIME_OF_DAY.fullmatch(text):
            return _last_us(_ISO.parse_isotime(text), now_us, field)
        if _DATE.fullmatch(text):
            return _datetime_us(_ISO.isoparse(text.upper()), field)
    except ValueError:
        pass
    hint = "" if after_us is None else " +30s (after the beginning),"
    raise TimestampError(f"{field!r} is {shown(moment)}, which is no moment: it must be{hint} {FORMS}.")


def _relative_us(relative: re.Match[str], text: str, field: str, now_us: int, after_us: int | None) -> int:
    sign, length = relative.groups()
    seconds = pytimeparse2.parse(length)
    if seconds is None:
        raise TimestampError(
            f"{field!r} is {shown(text)}: it must be a length such as {sign}90s, {sign}5m or {sign}1h30m."
        )
    length_us = int(seconds * US_PER_SECOND)
    if sign == "-":
        return now_us - length_us
    if after_us is None:
        raise TimestampError(f"{field!r} is {shown(text)}, which lies in the future: only the end can be given so.")
    return after_us + length_us


def _datetime_us(moment: datetime, field: str) -> int:
    try:
        seconds = round(moment.replace(microsecond=0).timestamp())
    except (ValueError, OverflowError, OSError):
        raise TimestampError(f"{field!r} is {shown(str(moment))}, which is no moment of the calendar.") from None
    return seconds * US_PER_SECOND + moment.microsecond


def _last_us(of_day: time, now_us: int, field: str) -> int:
    """When it was this time of day for the last time."""
    today = date.fromtimestamp(now_us / US_PER_SECOND)
    found_us = _datetime_us(datetime.combine(today, of_day), field)
    return found_us if found_us <= now_us else _datetime_us(datetime.combine(today - timedelta(days=1), of_day), field)
