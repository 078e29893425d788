"""Writes times as people, clients of the Go module and ffmpeg read them.

Inside videostore every time is an `int`: whole microseconds since the Unix epoch, UTC. Local time is for people only,
in what they enter (`timestamps`, `time_parsing`) and in what they are shown.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from videostore.base.constants import US_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def format_utc(us: int) -> str:
    """Write a time as `YYYY-MM-DD_HH-MM-SSZ`, rounded down to the second."""
    return _write(_utc(us), "seconds") + "Z"


def format_utc_exact(us: int) -> str:
    """Write a time as `YYYY-MM-DD_HH-MM-SS.mmmZ`, rounded down to the millisecond."""
    return _write(_utc(us), "milliseconds") + "Z"


def format_utc_microseconds(us: int) -> str:
    """Write a time as `YYYY-MM-DD_HH-MM-SS.mmmmmmZ`, without rounding."""
    return _write(_utc(us), "microseconds") + "Z"


def format_iso(us: int) -> str:
    """Write a time as `YYYY-MM-DDTHH:MM:SS.mmmmmmZ`, the form of RFC 3339, without rounding."""
    return _utc(us).isoformat(timespec="microseconds") + "Z"


def up_to_millisecond(us: int) -> int:
    """Round a time up to the millisecond: the end of a range, so that nothing of it is lost where that is entered."""
    return -(-us // 1000) * 1000


def up_to_second(us: int) -> int:
    """The same, to the second."""
    return -(-us // US_PER_SECOND) * US_PER_SECOND


def format_local(us: int) -> str:
    """Write a time as `YYYY-MM-DD_HH-MM-SS` in the machine's time zone, rounded down to the second.

    The names of clips contain this form.
    """
    return _write(datetime.fromtimestamp(us // US_PER_SECOND), "seconds")


def format_seconds(us: int) -> str:
    """Write a length, a position or a time as seconds with six decimals, as ffmpeg reads them."""
    seconds, microseconds = divmod(abs(us), US_PER_SECOND)
    return f"{'-' if us < 0 else ''}{seconds}.{microseconds:06d}"


def format_position(us: int) -> str:
    """Write a position in a clip as `H:MM:SS.mmmmmm`."""
    seconds, microseconds = divmod(us, US_PER_SECOND)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{microseconds:06d}"


def _utc(us: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=us)).replace(tzinfo=None)


def _write(moment: datetime, precision: str) -> str:
    # Unlike strftime, isoformat writes the year with four digits on every platform.
    return moment.isoformat(sep="_", timespec=precision).replace(":", "-")
