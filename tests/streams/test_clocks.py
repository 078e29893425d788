"""Times that cameras get wrong: nothing but the distances of their pictures counts, and when these arrive."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.streams.cameras import pictures_of
from tests.streams.components import run_components
from tests.streams.recorder import Recorder
from tests.streams.stored import BEGINNING, compare, stored_pictures
from tests.support.coded_stream import FPS, Coding
from tests.support.program import Program
from tests.support.recording import US
from tests.support.rtsp_camera import RTP_HZ, Conduct, RtspCamera

_BEFORE_THE_WRAP_S = 4
_WRAPPING = Conduct(first_rtp_time=(1 << 32) - _BEFORE_THE_WRAP_S * RTP_HZ)
CONDUCTS = {
    "RTP time that wraps": _WRAPPING,
    "RTP time that wraps, without sender reports": Conduct(_WRAPPING.first_rtp_time, clock_ahead_s=None),
    "a clock that is 3 s ahead": Conduct(clock_ahead_s=3),
    "a clock that is an hour behind": Conduct(clock_ahead_s=-3600),
    "a clock that stands in 1970": Conduct(clock_ahead_s=-1_700_000_000),
    "a clock that is ten years ahead": Conduct(clock_ahead_s=10 * 365 * 86_400),
}


@pytest.mark.parametrize("conduct", CONDUCTS.values(), ids=CONDUCTS)
async def test_pictures_are_dated_by_their_arrival(tmp_path: Path, conduct: Conduct) -> None:
    async with RtspCamera(pictures_of(Coding("h264")), conduct) as camera:
        recorder = Recorder(Program.create(tmp_path), tmp_path / "storage", camera.url)
        result = await recorder.run_until(lambda: recorder.segments() >= 4)
    assert result.code == 0, result.err
    _check(tmp_path / "storage", camera)


async def test_pictures_of_components_are_dated_by_their_arrival(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        components = await stack.enter_async_context(run_components(tmp_path))
        cameras = {}
        for number, conduct in enumerate(CONDUCTS.values()):
            camera = await stack.enter_async_context(RtspCamera(pictures_of(Coding("h264")), conduct))
            cameras[f"camera-{number}"] = camera
        await asyncio.gather(*(components.add(name, camera.url, "udp") for name, camera in cameras.items()))
        await asyncio.gather(*(components.segments(name, 4) for name in cameras))
        await asyncio.gather(*map(components.remove, cameras))
    for name, camera in cameras.items():
        _check(components.storage(name), camera)


def _check(directory: Path, camera: RtspCamera) -> None:
    comparison = compare(stored_pictures(directory), camera.sent)
    assert comparison.exact, comparison
    assert comparison.stored > (_BEFORE_THE_WRAP_S + 1) * FPS
    assert comparison.true_distances(BEGINNING) > 0.9 and comparison.moved_on_us < 1000
    assert -50_000 < comparison.error_us < 2 * US
