"""Packets that are lost on their way: only what they damaged is lost, the rest is stored as it was sent."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.streams.cameras import GstCameras, pictures_of
from tests.streams.lossy_proxy import LossyProxy
from tests.streams.recorder import Recorder
from tests.streams.stored import compare, stored_pictures
from tests.support.coded_stream import FPS, Coding
from tests.support.program import Program
from tests.support.recording import US
from tests.support.rtsp_camera import Conduct, RtspCamera
from videostore.store.store import VideoStore


async def test_each_packet_that_the_network_loses_costs_no_more_than_the_rest_of_its_gop(
    tmp_path: Path, small_server: GstCameras
) -> None:
    dice = random.Random(12)
    async with LossyProxy(small_server.port, lambda number: dice.random() < 0.01) as proxy:
        url = small_server.url("h264").replace(str(small_server.port), str(proxy.port))
        recorder = Recorder(Program.create(tmp_path), tmp_path / "storage", url, "udp")
        result = await recorder.run_until(lambda: recorder.segments() >= 5 and proxy.lost >= 3)
    assert result.code == 0, result.err
    comparison = compare(stored_pictures(tmp_path / "storage"), small_server.sent("h264"))
    assert comparison.invented == 0, comparison
    assert 0 < comparison.missing <= proxy.lost * FPS, comparison  # a keyframe in each second
    assert comparison.true_distances() > 0.9
    assert -50_000 < comparison.error_us < 2 * US


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_pictures_that_need_no_lost_packet_are_stored(tmp_path: Path, transport: str) -> None:
    conduct = Conduct(lost=lambda number: number % 60 == 50)
    async with RtspCamera(pictures_of(Coding("h264", gop_s=2)), conduct) as camera:
        recorder = Recorder(Program.create(tmp_path), tmp_path / "storage", camera.url, transport)
        result = await recorder.run_until(lambda: recorder.segments() >= 5)
    assert result.code == 0, result.err
    stored = stored_pictures(tmp_path / "storage")
    whole = [one for one in camera.sent if one.whole]
    assert len(whole) < len(camera.sent)
    sound = {one.painted for one in whole}
    comparison = compare([one for one in stored if one.painted in sound], whole)
    # A decoder may show a whole picture again in the place of a damaged one.
    assert comparison.missing == comparison.invented == 0, comparison
    assert comparison.stored > 2 * FPS


@pytest.mark.parametrize("gop_s", [1, 10])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_pictures_that_may_be_wrong_are_in_a_stretch_that_is_told(
    tmp_path: Path, transport: str, gop_s: int
) -> None:
    conduct = Conduct(lost=lambda number: number % 300 == 50)
    async with RtspCamera(pictures_of(Coding("h264", gop_s=gop_s)), conduct) as camera:
        recorder = Recorder(Program.create(tmp_path), tmp_path / "storage", camera.url, transport)
        result = await recorder.run_until(
            lambda: (
                sum(one.whole for one in camera.sent[-FPS:]) >= FPS // 2
                and len(camera.sent) > (gop_s + 4) * FPS
                and recorder.segments() >= 2
            )
        )
    assert result.code == 0, result.err
    assert "Pictures may be wrong from" in result.err
    async with VideoStore.open(tmp_path / "storage") as store:
        state = await store.state()
    assert state.damaged
    sound = {one.painted for one in camera.sent if one.whole}
    for one in stored_pictures(tmp_path / "storage"):
        told = any(range.from_us <= one.captured_us < range.to_us for range in state.damaged)
        assert told or one.painted in sound, one
