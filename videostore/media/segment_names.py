"""Names: of the files of open and closed segments, and of the run in their comment."""

from __future__ import annotations

import re

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import TimestampError
from videostore.base.timestamps import parse_timestamp

SUFFIX = ".mp4"
OPEN_SUFFIX = ".open"
"""Suffix of a segment that is being written. A file that ends in `.mp4` never changes."""

_UNIX_DIGITS = 12
_UNIX_NAME = re.compile(rf"(-?[0-9]{{1,{_UNIX_DIGITS}}})\.mp4")
_DATE_NAME = re.compile(r"(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\dZ?)\.mp4")
_OPEN_NAME = re.compile(r"(\d{1,18})-(\d{6,})\.open")
_RUN_COMMENT = re.compile(r"videostore run (\d{1,18})")


def open_name(run_us: int, number: int) -> str:
    """Name of the `number`th segment of a run (from 0) while it is being written."""
    return f"{run_us}-{number:06d}{OPEN_SUFFIX}"


def open_pattern(run_us: int) -> str:
    """The same for all segments of a run, as a pattern for ffmpeg's segment muxer."""
    return f"{run_us}-%06d{OPEN_SUFFIX}"


def parse_open_name(file_name: str) -> tuple[int, int] | None:
    """Epoch of the run and number of a segment that is being written; None for any other name."""
    match = _OPEN_NAME.fullmatch(file_name)
    return (int(match[1]), int(match[2])) if match else None


def name_time_us(file_name: str) -> int | None:
    """The time in a closed segment's name, in microseconds UTC; None if it is not the name of a segment.

    The name is Unix seconds or, from the Go module, a date (UTC with `Z`, else local).
    """
    stem = file_name[: -len(SUFFIX)]
    if stem.isdigit() and stem.isascii() and len(stem) <= _UNIX_DIGITS and file_name.endswith(SUFFIX):
        return int(stem) * US_PER_SECOND  # the usual case, and fast: a directory may contain 100,000 segments
    if match := _UNIX_NAME.fullmatch(file_name):
        return int(match[1]) * US_PER_SECOND
    if match := _DATE_NAME.fullmatch(file_name):
        try:
            return parse_timestamp(match[1], "name", shift_skipped=True)
        except TimestampError:
            return None
    return None


def closed_name(start_us: int, taken: int = 0) -> str:
    """Name of a closed segment: the Unix second of its first frame, or the `taken`th second after it."""
    return f"{start_us // US_PER_SECOND + taken}{SUFFIX}"


def run_comment(run_us: int) -> str:
    """The `comment` tag of the segments of a run."""
    return f"videostore run {run_us}"


def parse_run_comment(comment: str) -> int | None:
    """The epoch of the run in a `comment` tag; None if the tag is not ours."""
    match = _RUN_COMMENT.fullmatch(comment)
    return int(match[1]) if match else None
