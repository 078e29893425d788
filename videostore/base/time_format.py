"""Writes times as clients of the Go module and ffmpeg read them.

Inside, every time is an `int`: whole microseconds since the Unix epoch, UTC. Local time is only for people, in what
they write (`timestamps`, `time_parsing`) and in what they read.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from videostore.base.constants import US_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def format_utc(us: int) -> str:
    """Write a time as `YYYY-MM-DD_HH-MM-SSZ`, floored to the second."""
    return _written(_utc(us), "seconds") + "Z"


def format_utc_exact(us: int) -> str:
    """Write a time as `YYYY-MM-DD_HH-MM-SS.mmmZ`, floored to the millisecond."""
    return _written(_utc(us), "milliseconds") + "Z"


def format_local(us: int) -> str:
    """Write a time as `YYYY-MM-DD_HH-MM-SS` in the machine's time zone, floored to the second, as in names of clips."""
    return _written(datetime.fromtimestamp(us // US_PER_SECOND), "seconds")


def _utc(us: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=us)).replace(tzinfo=None)


def _written(moment: datetime, precision: str) -> str:
    # isoformat fills the year up with zeros on every platform, which strftime does not.
    return moment.isoformat(sep="_", timespec=precision).replace(":", "-")


def format_seconds(us: int) -> str:
    """Write a length or a position as seconds with six decimals, as ffmpeg reads them."""
    return f"{us / US_PER_SECOND:.6f}"
