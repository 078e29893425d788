from __future__ import annotations

import asyncio
import contextlib
import logging
import re

import pytest

from tests.support.inputs import open_input
from videostore.media.packet import Gap
from videostore.sources.ffmpeg_messages import FFmpegMessages
from videostore.sources.stream_fault import other_fault, stream_fault


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
        ("[rtsp] Failed reading RTSP data: End of file", "it closed the connection"),
        ("[http] Stream ends prematurely at 0, should be 18446744073709551615", "it closed the connection"),
        ("[rtsp] Protocol 'rtsp' not on whitelist 'pipe,tcp'!", "it redirects to another address"),
        ("[rtsp] Protocol '' not on whitelist 'pipe,tcp'!", "it redirects to another address"),
        ("Stream map '' matches no streams.", "it contains no video"),
        ("[rtsp] Could not find codec parameters for stream 0 (Video: none): unknown codec", "does not know"),
        ("[tls] error:0A00010B:SSL routines::wrong version number", "it does not speak TLS on this port"),
        ("[tls] error:0A000086:SSL routines::certificate verify failed", "its certificate is not trusted"),
        ("[in#0] Error opening input: Is a directory", "it is a directory"),
        ("[in#0] ioctl(VIDIOC_QUERYCAP): Inappropriate ioctl for device", "it is no camera"),
        ("[rtsp] method DESCRIBE failed: 500 (Internal Server Error)", "it answers with the error 500"),
        ("[http] HTTP error 461 Unsupported Transport", "it answers with the error 461"),
        ("[in#0] Error opening input: Server returned 400 Bad Request", "it answers with the error 400"),
        ("[in#0] Error opening input: Server returned 5XX Server Error reply", "it answers with the error 5xx"),
        ("[srt] Connection to srt://127.0.0.1:1 failed: Input/output error", "it cannot be reached"),
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


@pytest.mark.parametrize(
    ("message", "killed", "told"),
    [
        ("", "", ""),
        ("", "ffmpeg was killed by signal 9", "ffmpeg was killed by signal 9"),
        ("[x] something", "ffmpeg was killed by signal 9", "ffmpeg was killed by signal 9 (ffmpeg: something)"),
        ("[x] something", "", "it cannot be read (ffmpeg: something)"),
        (
            "[in#0] Error opening input: Invalid data found when processing input",
            "",
            "it is no video that ffmpeg knows (ffmpeg: Invalid data found when processing input)",
        ),
        (
            "pipe:0: Invalid data found when processing input",
            "",
            "it is no video that ffmpeg knows (ffmpeg: Invalid data found when processing input)",
        ),
        ("[mjpeg] No JPEG data found", "", "no picture of it can be decoded (ffmpeg: No JPEG data found)"),
    ],
)
def test_what_is_not_known_is_told_behind_words_that_are_always_true(message: str, killed: str, told: str) -> None:
    messages = FFmpegMessages(logging.getLogger("videostore.tests"), str)
    if message:
        messages.error("ffmpeg: %s", message)
    assert other_fault(messages, killed) == told


async def test_a_server_that_hangs_up_is_told_without_the_words_of_a_command_line(binary: str) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        for url in (f"rtsp://{address}/x", f"http://{address}/x", f"rtmp://{address}/a/b"):
            async with contextlib.aclosing(open_input(url, binary).packets()) as items:  # type: ignore[type-var]
                gap = await items.__anext__()
            assert isinstance(gap, Gap) and "pipe:" not in gap.reason
            # ffmpeg 5.1 says the same of RTSP that is none.
            assert re.search(r"failed: it (does not speak RTSP, or )?closed the connection", gap.reason)
