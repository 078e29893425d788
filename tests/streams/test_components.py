"""Cameras that go wrong while components record them: told, and recorded again by itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.streams.cameras import CAMERAS, PASSWORD, USER, Camera, GstCameras, pictures_of, serving, write_cameras
from tests.streams.components import run_components
from tests.streams.lossy_proxy import LossyProxy
from tests.streams.recorded import login
from tests.streams.stored import compare, stored_pictures
from tests.support.coded_stream import FPS, SIZE, Coding
from tests.support.ports import own_port
from tests.support.recording import US
from tests.support.rtsp_camera import Conduct, RtspCamera

_NAME = "h264-credentials"
_OTHER_SIZE = (480, 272)
_GOP_S = 10


@pytest.fixture
def guarded(tmp_path: Path, gstreamer: None) -> Iterator[GstCameras]:
    """A server that asks for a password."""
    with serving(tmp_path, {_NAME: CAMERAS[_NAME]}, credentials=True) as cameras:
        yield cameras


async def test_cameras_that_refuse_are_told_each_and_the_one_beside_them_is_recorded(
    guarded: GstCameras, tmp_path: Path
) -> None:
    url = guarded.url(_NAME)
    secret = quote(PASSWORD, safe="")
    async with run_components(tmp_path) as components:
        await components.add("good", login(url, CAMERAS[_NAME]))
        await components.add("wrong", url.replace("rtsp://", f"rtsp://{USER}:Sesame-5@"))
        await components.add("elsewhere", login(guarded.url("elsewhere"), CAMERAS[_NAME]))
        for name, reason in (("wrong", "(401)"), ("elsewhere", "(404)")):
            await components.until_told(name, reason)
        await components.segments("good", 3)
        await components.remove("good")
        said = "\n".join([components.all_said, *components.arguments])
    comparison = compare(stored_pictures(components.storage("good")), guarded.sent(_NAME))
    assert comparison.exact and comparison.stored > 3 * FPS, comparison
    assert not [one for one in ("Sesame", secret, PASSWORD) if one in said]


async def test_a_camera_that_comes_back_with_another_size_and_codec_is_recorded_as_it_comes(
    tmp_path: Path, gstreamer: None
) -> None:
    before, after = Camera(Coding("h264")), Camera(Coding("hevc", size=_OTHER_SIZE), "aac")
    sent, port = [], own_port()
    async with run_components(tmp_path) as components:
        with GstCameras(tmp_path, write_cameras(tmp_path, {"camera": before}), port=port) as server:
            await components.add("camera", server.url("camera"))
            await components.segments("camera", 2)
        sent.append(server.sent("camera"))
        await components.until("camera", lambda status: not status["recording"] and status["reason"])
        with GstCameras(tmp_path, write_cameras(tmp_path, {"camera": after}), port=port) as server:
            await components.segments("camera", 3)
            await components.remove("camera")
        sent.append(server.sent("camera"))
        assert "e-encoding" not in components.said("camera")
    stored = stored_pictures(components.storage("camera"))
    for size, pictures in zip((SIZE, _OTHER_SIZE), sent, strict=True):
        comparison = compare([one for one in stored if one.size == size], pictures)
        assert comparison.exact and comparison.stored > 2 * FPS, comparison
    assert {one.size for one in stored} == {SIZE, _OTHER_SIZE}


@pytest.mark.parametrize("hangs_up", [False, True], ids=["falls silent", "hangs up"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_camera_that_stops_in_the_middle_of_a_picture_costs_no_other_picture(
    tmp_path: Path, transport: str, hangs_up: bool
) -> None:
    pictures = pictures_of(Coding("h264"))
    conduct = Conduct(breaks_at=203, hangs_up=hangs_up)
    async with RtspCamera(pictures, conduct) as camera, run_components(tmp_path) as components:
        await components.add("camera", camera.url, transport)
        await components.until("camera", lambda _: camera.clients > 1)
        await components.segments("camera", 2)
        await components.remove("camera")
        assert "Not recording: " in components.said("camera")
    stored = stored_pictures(components.storage("camera"))
    comparison = compare(stored, camera.sent)
    assert comparison.missing == comparison.doubled == 0, comparison
    # What there was of the picture may be stored.
    assert comparison.unreadable + comparison.invented <= 1, comparison


async def test_a_camera_that_is_joined_in_the_middle_of_a_gop_is_recorded_from_its_next_keyframe(
    tmp_path: Path,
) -> None:
    coding = Coding("h264", gop_s=_GOP_S)
    conduct = Conduct(first_picture=_GOP_S * FPS // 2)
    async with RtspCamera(pictures_of(coding), conduct) as camera, run_components(tmp_path) as components:
        await components.add("camera", camera.url)
        await components.segments("camera", 1)
        await components.remove("camera")
        assert "e-encoding" not in components.said("camera")
    stored = stored_pictures(components.storage("camera"))
    comparison = compare(stored, camera.sent)
    assert stored[0].painted == _GOP_S * FPS
    assert comparison.exact and comparison.stored >= _GOP_S * FPS, comparison


async def test_each_packet_that_the_network_loses_costs_no_more_than_the_rest_of_its_gop(
    tmp_path: Path, small_server: GstCameras
) -> None:
    dice = random.Random(12)
    async with (
        LossyProxy(small_server.port, lambda number: dice.random() < 0.01) as proxy,
        run_components(tmp_path) as components,
    ):
        url = small_server.url("h264").replace(str(small_server.port), str(proxy.port))
        await components.add("camera", url, "udp")
        await components.until("camera", lambda _: proxy.lost >= 3)
        await components.segments("camera", 2)
        await components.remove("camera")
    comparison = compare(stored_pictures(components.storage("camera")), small_server.sent("h264"))
    assert comparison.invented == 0, comparison
    assert 0 < comparison.missing <= proxy.lost * FPS, comparison  # a keyframe in each second
    assert comparison.true_distances() > 0.9
    assert -50_000 < comparison.error_us < 2 * US
