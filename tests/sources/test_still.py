from __future__ import annotations

import io
from dataclasses import replace

import numpy
import pytest
from PIL import Image

from scripts.fakes.painted_camera import read_paint
from tests.support.coding import coded_packets
from tests.support.recording import SMALL, capture_times
from videostore.base.errors import FFmpegError
from videostore.sources.still import still


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_a_keyframe_becomes_a_jpeg_that_shows_it(binary: str, codec: str) -> None:
    times = capture_times(1)
    packets = [packet for packet in coded_packets(times, codec, gop=4) if packet.keyframe]
    assert len(packets) > 1
    for packet in packets:
        image = Image.open(io.BytesIO(await still(binary, packet)))
        assert (image.format, image.size) == ("JPEG", SMALL)
        paint = read_paint(numpy.asarray(image.convert("L")))
        assert paint is not None and paint.captured_us == packet.captured_us


async def test_what_cannot_be_decoded_is_an_error(binary: str) -> None:
    packet = coded_packets(capture_times(0.3), "h264", gop=4)[0]
    with pytest.raises(FFmpegError) as failed:
        await still(binary, replace(packet, data=b"\0\0\1\x65" + bytes(100)))
    assert failed.value.code == "ffmpeg-failed" and failed.value.reason
