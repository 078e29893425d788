from __future__ import annotations

import logging

import pytest

from videostore.sources.ffmpeg_messages import FFmpegMessages
from videostore.sources.stream_fault import stream_fault


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("rtsp method DESCRIBE failed: 401 Unauthorized", "(401)"),
        ("in#0 method DESCRIBE failed: 404 (Not Found)", "(404)"),
        ("rtsp method PLAY failed: 454 Session Not Found", "(454)"),
        ("http HTTP error 403 Forbidden", "(403)"),
        ("tcp Connection to tcp://10.0.0.1:554 failed: Connection refused", "it refuses the connection"),
        ("tcp Failed to resolve hostname cam: Name or service not known", "its host name is unknown"),
        ("rtsp://…@host/x: Connection timed out", "it does not answer"),
        ("concat Format not on whitelist 'mpegts'", "it is a file or a playlist"),
        ("something else", ""),
    ],
)
def test_what_ffmpeg_says_is_told_in_plain_words(message: str, told: str) -> None:
    messages = FFmpegMessages(logging.getLogger("videostore.tests"), str)
    messages.error("ffmpeg: %s", message)
    found = stream_fault(messages)
    assert told in found and bool(told) == bool(found)


def test_a_host_that_may_be_a_part_of_a_password_is_told_as_a_wrong_url() -> None:
    messages = FFmpegMessages(logging.getLogger("videostore.tests"), str)
    messages.error("ffmpeg: %s", "tcp Failed to resolve hostname ss: Name or service not known")
    assert "its URL is wrong: in a password" in stream_fault(messages, ends_in_password=True)
