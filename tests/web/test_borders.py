"""Frames of a range that are in the file of another segment."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from scripts.fakes.clip_check import luma
from scripts.fakes.painted_camera import read_paint
from tests.support.coded_stream import FPS, Coding, code, painted_number
from tests.support.coded_stream import SIZE as CODED_SIZE
from tests.support.coding import record_coded
from tests.support.recording import START_US, US, take_over
from tests.support.web_server import run_web
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Packet, StreamFormat

BORDER = 2 * FPS
"""The first frame of a second segment."""


@pytest.fixture(scope="module")
def reordered() -> tuple[list[Packet], list[int]]:
    """What a camera with open GOPs of H.265 sends, and when its frames are captured: those before the second segment
    come earlier than the last frame of the first one usually ends."""
    coded = code(Coding("hevc", b_frames=2, open_gop=True, length_s=5))
    seen = inspect_keyframe("hevc", coded[0].data)
    format = StreamFormat("hevc", *CODED_SIZE, parameter_sets("hevc", coded[0].data), reordered=seen.reordered)
    times = [START_US + place * US // FPS - (BORDER - 3 < place < BORDER) * US // 50 for place in range(len(coded))]
    return [Packet(format, one.data, times[one.shown], one.keyframe) for one in coded], times


async def test_a_range_has_all_of_its_frames_that_are_shown_before_a_keyframe_and_decoded_behind_it(
    tmp_path: Path, reordered: tuple[list[Packet], list[int]]
) -> None:
    packets, times = reordered
    await record_coded(tmp_path / "cam", packets)
    await take_over(tmp_path / "cam")
    with run_web([tmp_path / "cam"]) as server:
        for last in (FPS - 2, FPS - 1, FPS, BORDER - 3, BORDER - 2, BORDER - 1, BORDER):
            asked = f"from_us={times[0]}&to_us={times[last] + 1}"
            for way in ("", "&parts_us=0"):
                address = f"{server.url}hls/cam/index.m3u8?{asked}{way}"
                with av.open(address, options={"live_start_index": "0"}) as container:
                    frames = [read_paint(luma(one)) for one in container.decode(video=0)]
                shown = [None if one is None else painted_number(one.captured_us) for one in frames]
                assert shown == list(range(len(shown))) and len(shown) > last, (last, way)
