"""Answers: which status an error has, and what it tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from videostore.base.errors import (
    FFmpegError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    TimestampError,
    TooLargeError,
    UnknownSaveError,
    VideoStoreError,
)
from videostore.base.ranges import Range
from videostore.web.answers import error_answer
from videostore.web.refusal import status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TimestampError("time-form", field="from", value="x", expected="y"), 400),
        (RequestError("range-empty", from_us=1, to_us=1, clock_us=1), 400),
        (NothingStoredError("storage-empty", asked=Range(1, 2)), 404),
        (UnknownSaveError("save-unknown", value="x"), 404),
        (RequestError("segment-gone"), 404),
        (RequestError("no-such-recorder", value="x"), 404),
        (TooLargeError("clip-too-large", size_bytes=2, limit_bytes=1, longest_s=1), 413),
        (RequestError("playlist-too-long", from_us=1, to_us=2, limit=3), 413),
        (RequestError("too-many-requests", limit=1), 429),
        (NoRoomError("no-room-for-clip", path=Path("/x"), size_bytes=2, free_bytes=1, longest_s=1), 507),
        (RequestError("recorder-opening", value="x"), 503),
        (FFmpegError("ffmpeg-failed", exit_code=1, reason="x"), 503),
        (VideoStoreError("closed"), 503),
    ],
)
def test_each_kind_of_error_has_its_status(error: VideoStoreError, status: int) -> None:
    assert status_of(error) == status
    assert error_answer(error).status == status


def test_an_error_tells_its_code_its_sentence_and_its_fields() -> None:
    answer = error_answer(NothingStoredError("nothing-in-range", asked=Range(1, 2), nearest=Range(3, 4)))
    told = json.loads(answer.text or "")
    assert told["error"] == "nothing-in-range"
    assert told["message"].startswith("Nothing is stored in the range")
    assert told["nearest"] == {"from_us": 3, "to_us": 4}


def test_who_comes_too_early_is_told_to_try_again() -> None:
    assert error_answer(RequestError("recorder-opening", value="x")).headers["Retry-After"] == "2"
