"""Colours, pixel shapes and fields of inputs: kept where they are copied, converted where they are re-encoded."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy
import pytest

from tests.support.amount import some
from tests.support.colour_patches import (
    PICTURES,
    TOLERANCE,
    expected_patches,
    frame_patches,
    largest_difference,
)
from tests.support.inputs import Tap, open_input, record_file
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.look import Look

FRAMES = 20
MOVING = f"testsrc=size=320x240:rate=50:duration={FRAMES / 25},scroll=horizontal=0.03,format=yuv420p"
H264_FIELDS = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-flags", "+ildct+ilme"]
MPEG2_FIELDS = ["-c:v", "mpeg2video", "-q:v", "2", "-g", "5", "-flags", "+ildct+ilme"]


async def write_woven(path: Path, binary: str, top: bool, coding: list[str]) -> None:
    """Write interlaced video of a moving picture."""
    fields = f"tinterlace=mode=interleave_{'top' if top else 'bottom'},setfield={'tff' if top else 'bff'}"
    order = ["-x264-params", f"{'tff' if top else 'bff'}=1"] if "libx264" in coding else []
    source = ["-f", "lavfi", "-i", f"{MOVING},{fields}"]
    await run_ffmpeg([binary, "-v", "error", *source, *coding, *order, str(path)])


def decode(paths: list[Path]) -> list[Any]:
    frames = []
    for path in paths:
        with av.open(str(path), format="mp4") as container:
            frames += list(container.decode(video=0))
    return frames


def combs(frame: Any) -> float:
    """How much more neighbouring lines differ than lines of one field."""
    gray = frame.to_ndarray(format="gray").astype(int)
    return float(numpy.abs(gray[1:] - gray[:-1]).mean() - numpy.abs(gray[2:] - gray[:-2]).mean())


@pytest.mark.parametrize("top", [True, False])
@some(
    ("name", "coding"),
    [("x.ts", MPEG2_FIELDS), ("b.mp4", [*H264_FIELDS, "-bf", "2", "-pix_fmt", "yuv422p"]), ("x.mpg", MPEG2_FIELDS)],
    2,
)
async def test_interlaced_video_that_is_re_encoded_is_deinterlaced_and_loses_no_frame(
    tmp_path: Path, binary: str, top: bool, name: str, coding: list[str]
) -> None:
    await write_woven(tmp_path / name, binary, top, coding)
    recorded = await record_file(tmp_path / name, tmp_path, binary)
    frames = await asyncio.to_thread(decode, recorded.segments)
    with av.open(str(tmp_path / name)) as container:
        woven = list(container.decode(video=0))
    assert len(frames) == len(woven) == FRAMES
    assert not any(frame.interlaced_frame for frame in frames) and all(frame.interlaced_frame for frame in woven)
    assert max(map(combs, frames)) < 1 < max(map(combs, woven))
    distances = [(frame.pts - woven[0].pts) * frame.time_base for frame in woven]
    assert recorded.times_us == [recorded.times_us[0] + round(1_000_000 * one) for one in distances]


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("b_frames", ["0", "2"])
async def test_interlaced_video_that_is_copied_stays_interlaced(
    tmp_path: Path, binary: str, top: bool, b_frames: str
) -> None:
    await write_woven(tmp_path / "x.mp4", binary, top, [*H264_FIELDS, "-bf", b_frames])
    recorded = await record_file(tmp_path / "x.mp4", tmp_path, binary)
    frames = await asyncio.to_thread(decode, recorded.segments)
    assert [frame.interlaced_frame for frame in frames] == [True] * FRAMES


async def test_an_input_that_is_re_encoded_as_requested_is_deinterlaced_too(tmp_path: Path, binary: str) -> None:
    await write_woven(tmp_path / "x.mp4", binary, True, [*H264_FIELDS, "-bf", "0"])
    source = Tap(open_input(tmp_path / "x.mp4", binary, reencode=True))
    await source.play()
    assert len(source.packets_seen) == FRAMES and not source.gaps
    context: Any = av.CodecContext.create("h264", "r")
    frames = [f for p in source.packets_seen for f in context.decode(av.Packet(p.data))] + context.decode(None)
    assert len(frames) == FRAMES and not any(frame.interlaced_frame for frame in frames)
    assert max(map(combs, frames)) < 1


@pytest.mark.parametrize("shape", ["16/11", "1"])
async def test_motion_jpeg_keeps_its_colours_and_the_shape_of_its_pixels(
    tmp_path: Path, binary: str, shape: str
) -> None:
    (tmp_path / "picture.jpg").write_bytes(PICTURES["JPEG 4:2:0"]())
    source = ["-loop", "1", "-t", "0.4", "-i", str(tmp_path / "picture.jpg"), "-c", "copy", "-aspect"]
    shown = str(Fraction(1280, 720) * Fraction(shape)).replace("/", ":")
    await run_ffmpeg([binary, "-v", "error", *source, shown, str(tmp_path / "x.mkv")])
    recorded = await record_file(tmp_path / "x.mkv", tmp_path, binary)
    (path,) = recorded.segments
    with av.open(str(path), format="mp4") as container:
        look = Look.of_stream(container.streams.video[0])
    assert look.colours == (6, 6, 6, False)
    assert look.pixel_shape == pytest.approx(float(Fraction(shape)), abs=0.001)  # Matroska has the size that is shown
    (frame, *_) = await asyncio.to_thread(decode, [path])
    assert largest_difference(frame_patches(frame), expected_patches("JPEG")) <= TOLERANCE
