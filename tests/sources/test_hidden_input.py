from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import psutil
import pytest

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
        children = psutil.Process().children(recursive=True)
        shown = [word for child in children for word in [*child.cmdline(), *child.environ().values()]]
        assert any("concat" in word for word in shown)
        assert not [word for word in shown if PASSWORD in word]
        rtsp.refusal = "404 Not Found"
        await rtsp.drop()
        await until(lambda: any("(404)" in gap.reason for gap in source.gaps))
    assert PASSWORD not in caplog.text and PASSWORD not in str(source.gaps)
    assert not await asyncio.to_thread(_left)


def _left() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "concat" in child.cmdline()]
