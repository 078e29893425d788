from __future__ import annotations

import asyncio
import logging

import pytest

from tests.support.recording import LOGGER
from videostore.ffmpeg.message_limit import MAX_KINDS, PERIOD_S, MessageLimit
from videostore.ffmpeg.process import log_messages


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_of_a_kind_one_message_a_minute_is_passed_on_with_the_number_before_it() -> None:
    seconds = Seconds()
    limit = MessageLimit(seconds)
    assert limit.pass_on("overread 8") == "overread 8"
    assert [limit.pass_on(f"overread {n}") for n in range(20)] == [None] * 20
    assert limit.pass_on("bad vlc") == "bad vlc"
    seconds.now = PERIOD_S
    assert limit.pass_on("overread 3") == "overread 3 (20 more like it since the last line)"
    assert limit.pass_on("overread 3") is None


def test_what_was_held_back_is_told_at_the_end() -> None:
    seconds = Seconds()
    limit = MessageLimit(seconds)
    for _ in range(3):
        limit.pass_on("overread 8")
    assert limit.held(due=True) == []
    seconds.now = PERIOD_S
    assert limit.held(due=True) == ["overread 8 (2 more like it since the last line)"]
    assert limit.held(due=False) == []


def test_the_number_of_kinds_is_bounded() -> None:
    seconds = Seconds()
    limit = MessageLimit(seconds)
    texts = ["".join(chr(97 + int(digit)) for digit in str(n)) for n in range(3 * MAX_KINDS)]
    assert sum(limit.pass_on(text) is not None for text in texts) == MAX_KINDS + 1
    assert len(limit._kinds) <= MAX_KINDS + 1
    seconds.now = 2 * PERIOD_S
    assert limit.pass_on("another") == "another"  # the quiet ones made room


async def test_what_repeats_is_logged_once_and_the_rest_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(b"[mjpeg @ 0x%x] [error] overread %d\n" % (n, n) for n in range(500)))
    stream.feed_eof()
    told: list[str] = []
    await log_messages(stream, LOGGER, on_error=told.append)
    loud = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    assert loud == ["ffmpeg: [mjpeg] overread 0", "ffmpeg: [mjpeg] overread 499 (499 more like it since the last line)"]
    assert len(caplog.records) == 501 and len(told) == 500
