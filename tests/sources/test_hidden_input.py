from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from urllib.parse import quote

import psutil
import pytest

from tests.support.child_processes import running_children, shown_by
from tests.support.guarded_camera import PASSWORD, RtspCamera
from tests.support.inputs import Tap, open_input, painted_times, playing
from tests.support.recording import until
from videostore.sources.hidden_input import list_of, program_options


@pytest.fixture
async def rtsp() -> AsyncIterator[RtspCamera]:
    camera = RtspCamera()
    await camera.start()
    yield camera
    await camera.stop()


def test_a_list_holds_the_url_and_the_options_for_it() -> None:
    text = list_of("rtsp://u:it's@host/x", {"rtsp_transport": "udp", "t": "5"}, None).decode()
    assert text.splitlines() == [
        "ffconcat version 1.0",
        "file 'rtsp://u:it'\\''s@host/x'",
        "option rtsp_transport 'udp'",
    ]
    assert program_options({"rtsp_transport": "udp", "t": "5"}) == {"t": "5"}


def test_http_brings_streams_and_no_files_or_playlists() -> None:
    assert b"option format_whitelist 'mpjpeg," in list_of("http://host/x", {}, None)
    assert b"option format_whitelist 'mpjpeg'" in list_of("http://host/x", {}, "mpjpeg")


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_a_stream_comes_through_a_list_with_all_frames(binary: str, rtsp: RtspCamera, codec: str) -> None:
    rtsp.codec = codec
    source = Tap(open_input(rtsp.url, binary))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 40)
    painted = painted_times(source.packets_seen)
    assert painted == rtsp.delivered[: len(painted)]
    assert not source.gaps


async def test_no_process_shows_the_password(binary: str, rtsp: RtspCamera, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = Tap(open_input(rtsp.url, binary))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        shown = shown_by(running_children())
        (input,) = running_children(word="concat")
        assert input.rlimit(psutil.RLIMIT_CORE)[0] == 0
        assert not [word for word in shown if PASSWORD in word]
        rtsp.refusal = "404 Not Found"
        await rtsp.drop()
        await until(lambda: any("(404)" in gap.reason for gap in source.gaps))
    assert PASSWORD not in caplog.text and PASSWORD not in str(source.gaps)
    assert not await asyncio.to_thread(_left)


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("p%40ss%2Fw%3Fo%23rd", "p@ss/w?o#rd"),
        ("p@ss:word@", "p@ss:word@"),
        ("100%", "100%"),
        ("50%zz", "50%zz"),
        ("p%C3%A4ss w%C3%B6rd", "päss wörd"),
        ("päss'wörd", "päss'wörd"),
    ],
)
async def test_passwords_with_any_characters_are_understood_and_not_shown(
    binary: str, rtsp: RtspCamera, written: str, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rtsp.password = password
    source = Tap(open_input(rtsp.url_with(written), binary))
    async with playing(source):
        await until(lambda: source.packets_seen)
        rtsp.refusal = "404 Not Found"
        await rtsp.drop()
        await until(lambda: any("(404)" in gap.reason for gap in source.gaps))
    told = caplog.text + str(source.gaps)
    assert "rtsp://…@127.0.0.1" in told
    assert not [form for form in (written, password, quote(password, safe=""), token(password)) if form in told]


@pytest.mark.parametrize("written", ["p/ss", "p?ss", "p#ss"])
async def test_a_password_that_ends_the_host_is_explained(binary: str, rtsp: RtspCamera, written: str) -> None:
    source = Tap(open_input(rtsp.url_with(written), binary))
    async with playing(source):
        await until(lambda: source.gaps)
    assert "are written as %2F, %3F and %23" in source.gaps[0].reason and written not in source.gaps[0].reason


def token(password: str) -> str:
    """How a camera gets the password, without its first characters."""
    return base64.b64encode(f"admin:{password}".encode()).decode()


def _left() -> list[psutil.Process]:
    return running_children(word="concat")
