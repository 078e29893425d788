"""Each error is of one kind, whoever reports it."""

from __future__ import annotations

import pytest

from videostore.base import error_kinds
from videostore.base.error_kinds import ErrorKind, kind_of
from videostore.base.errors import (
    ConfigError,
    FFmpegError,
    NothingStoredError,
    RequestError,
    TimestampError,
    UnreadableRangeError,
    VideoStoreError,
    class_of,
)
from videostore.base.ranges import Range


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimestampError("time-form", field="from", value="x", expected="y"), ErrorKind.WRONG),
        (ConfigError("attribute-missing", attribute="sync", expected="a name"), ErrorKind.WRONG),
        (NothingStoredError("storage-empty", asked=Range(1, 2)), ErrorKind.UNKNOWN),
        (UnreadableRangeError("moment-unreadable", at_us=1), ErrorKind.UNREADABLE),
        (RequestError("too-many-videos", limit=1), ErrorKind.TOO_MANY),
        (RequestError("event-unknown", field="id", value=3), ErrorKind.UNKNOWN),
        (VideoStoreError("storage-in-use"), ErrorKind.SETUP),
        (VideoStoreError("closed"), ErrorKind.NOT_YET),
        (FFmpegError("ffmpeg-failed", exit_code=1, reason="x"), ErrorKind.FAILED),
    ],
)
def test_an_error_is_of_one_kind(error: VideoStoreError, kind: ErrorKind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize("code", sorted(error_kinds._BY_CODE))
def test_each_code_of_a_kind_is_that_of_an_error(code: str) -> None:
    assert class_of(code) is not None
