"""Cameras behind a network that delays what they send: how late their pictures are dated, and their distances."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
from collections.abc import Callable
from pathlib import Path

from tests.streams.cameras import pictures_of
from tests.streams.components import run_components
from tests.streams.conftest import MEASURED
from tests.streams.jittery_proxy import JitteryProxy
from tests.streams.stored import compare, stored_pictures
from tests.support.coded_stream import FPS, Coding
from tests.support.recording import until
from tests.support.rtsp_camera import Conduct, RtspCamera

_DRIFTS_PPM = (-200, 200)
_SECONDS = 24
_BEGINNING = 5 * FPS
"""While the smallest delay is still being found, times follow it at once."""


async def test_delays_that_differ_by_200_ms_and_bursts_of_a_second_leave_distances_right_to_5_ms(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def record(number: int, drift_ppm: int) -> RtspCamera:
        name = f"camera-{number}"
        async with (
            RtspCamera(pictures_of(Coding("h264")), Conduct(drift_ppm=drift_ppm)) as camera,
            JitteryProxy(camera.port, random.Random(number), delay_s=0.2, burst_s=1.0, every_s=7.0) as proxy,
        ):
            await components.add(name, camera.url.replace(str(camera.port), str(proxy.port)))
            await until(lambda: len(camera.sent) >= _SECONDS * FPS and proxy.bursts >= 2, 120)
            await components.remove(name)
        return camera

    async with run_components(tmp_path) as components:
        cameras = await asyncio.gather(*(record(*one) for one in enumerate(_DRIFTS_PPM)))
    for number, camera in enumerate(cameras):
        comparison = compare(stored_pictures(components.storage(f"camera-{number}")), camera.sent)
        assert comparison.exact, comparison
        late_us = comparison.errors_us[_BEGINNING:]
        wrong_us = [abs(later - earlier) for earlier, later in itertools.pairwise(late_us)]
        assert len(wrong_us) > (_SECONDS - 10) * FPS
        assert max(wrong_us) < 5000, max(wrong_us)
        row = (statistics.median(late_us), max(late_us), max(wrong_us), statistics.median(wrong_us))
        text = "late by a median of {:.1f}, at most {:.1f}; distances wrong by at most {:.2f}, a median of {:.2f}"
        drift = f"jitter, drift {_DRIFTS_PPM[number]:+} ppm"
        record_property(MEASURED, f"{drift:26}{text.format(*(one / 1000 for one in row))}")
