from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from tests.support.recording import SMALL, START_US, US, capture_times, packet
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.packet import Packet
from videostore.recording.nut_writer import NutWriter
from videostore.recording.picture_nut import PictureNut

MIME_TYPES = ["image/jpeg", "image/png", "image/vnd.viam.rgba"]
HALF_DAY_US = 12 * 3600 * US


def written(packets: list[Packet], writer: NutWriter | PictureNut) -> bytes:
    for one in packets:
        writer.add(one)
    return writer.end()


def read(stream: bytes) -> tuple[Any, list[tuple[int, bytes]]]:
    with av.open(io.BytesIO(stream), format="nut") as container:
        video = container.streams.video[0]
        about = video.codec_context.name, video.width, video.height, video.time_base, video.guessed_rate
        packets = [one for one in container.demux(video) if one.size]
        return about, [(one.pts or 0, bytes(one)) for one in packets]


@pytest.mark.parametrize("mime", MIME_TYPES)
def test_libav_reads_the_same_from_it_as_from_its_own_muxer(mime: str) -> None:
    packets = [packet(time_us, SMALL, mime) for time_us in capture_times(1)]
    ours = read(written(packets, PictureNut(packets[0], 20)))
    assert ours == read(written(packets, NutWriter(packets[0], 20)))
    assert ours[1] == [(one.captured_us - START_US, one.data) for one in packets]


@pytest.mark.parametrize("mime", MIME_TYPES)
def test_ffmpeg_reads_each_image_with_its_exact_time(mime: str, tmp_path: Path) -> None:
    shortly_us, for_a_month_us = [0, 1, 16_383, 16_384, 2 * US], [HALF_DAY_US * number for number in range(1, 62)]
    times_us = [START_US + time_us for time_us in shortly_us + for_a_month_us]
    image = packet(START_US, SMALL, mime)
    packets = [replace(image, captured_us=time_us) for time_us in times_us]
    binary, target = find_ffmpeg(), tmp_path / "times"
    strict = ("-f", "nut", "-fpsprobesize", "0", "-probesize", "32", "-analyzeduration", "0", "-err_detect", "explode")
    command = [
        binary,
        "-v",
        "error",
        *strict,
        "-i",
        "pipe:0",
        "-c",
        "copy",
        "-copytb",
        "1",
        "-f",
        "framehash",
        str(target),
    ]
    stream = written(packets, PictureNut(packets[0], 20))
    done = subprocess.run(command, input=stream, capture_output=True, check=True, timeout=60)
    lines = [line for line in target.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert [int(line.split(",")[2]) for line in lines] == [time_us - START_US for time_us in times_us]
    assert not done.stderr


def test_each_image_can_be_taken_at_once_and_the_stream_is_the_same() -> None:
    packets = [packet(time_us, SMALL) for time_us in capture_times(0.5)]
    writer, parts = PictureNut(packets[0], 20), []
    for one in packets:
        writer.add(one)
        assert writer.waiting_bytes >= len(one.data)
        parts.append(writer.take())
        assert parts[-1].endswith(one.data) and writer.waiting_bytes == 0
    assert b"".join(parts) + writer.end() == written(packets, PictureNut(packets[0], 20))


def test_an_image_that_is_not_later_than_the_one_before_is_refused() -> None:
    first, second = (packet(START_US + time_us, SMALL) for time_us in (0, 40_000))
    writer = PictureNut(first, 20)
    writer.add(second)
    assert not writer.takes(first.captured_us)
    with pytest.raises(ValueError):
        writer.add(first)
    with pytest.raises(ValueError):
        writer.add(second)
