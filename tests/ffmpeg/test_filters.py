from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import ffmpeg
import numpy
import pytest

from tests.support.amount import some_combinations
from tests.support.colour_patches import (
    PICTURES,
    TOLERANCE,
    expected_patches,
    frame_patches,
    largest_difference,
)
from videostore.ffmpeg.filters import deinterlaced, even_size, filter_text, fitted, player_colours
from videostore.ffmpeg.options import EXACT_TIMES, REENCODED
from videostore.ffmpeg.process import run_ffmpeg

SMPTE170M = 6
LIMITED = 1
LOSSLESS = {"c:v": "ffv1"}
MOVING = "testsrc=size=320x240:rate=50:duration=0.8"


async def encode(video: Any, output: Path, binary: str) -> tuple[Any, list[Any]]:
    """Encode the video; returns what its stream says, and the frames."""
    written = video.output(str(output), f="mp4", **REENCODED, **EXACT_TIMES)
    await run_ffmpeg([binary, "-v", "error", "-y", *written.get_args()])
    with av.open(str(output)) as container:
        frames, stream = list(container.decode(video=0)), container.streams.video[0]
        said = {name: getattr(stream, name) for name in ("codec_context", "width", "height", "sample_aspect_ratio")}
        return SimpleNamespace(**said), frames


@some_combinations(name=[name for name in PICTURES if name != "raw RGBA"], full_range=[False, True])
async def test_any_picture_keeps_its_colours_and_is_tagged(
    tmp_path: Path, binary: str, name: str, full_range: bool
) -> None:
    (tmp_path / "picture").write_bytes(PICTURES[name]())
    video = ffmpeg.input(str(tmp_path / "picture"), f="image2pipe").video
    stream, (frame,) = await encode(player_colours(video, full_range=full_range), tmp_path / "clip.mp4", binary)
    context = stream.codec_context
    assert (context.pix_fmt, context.color_range) == ("yuv420p", LIMITED)
    assert (context.color_primaries, context.color_trc, context.colorspace) == (SMPTE170M,) * 3
    difference = largest_difference(frame_patches(frame), expected_patches(name))
    # Other formats than RGB are a level off in chroma without `full_range`, which is two values of blue.
    assert difference <= TOLERANCE + (not full_range and "JPEG" in name)


@pytest.mark.parametrize("range", ["pc", "tv"])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
async def test_video_of_another_matrix_or_range_keeps_its_colours(
    tmp_path: Path, binary: str, range: str, matrix: str
) -> None:
    (tmp_path / "picture").write_bytes(PICTURES["PNG"]())
    source = ffmpeg.input(str(tmp_path / "picture"), f="image2pipe").video
    source = source.filter("scale", out_range=range, out_color_matrix=matrix, flags="accurate_rnd")
    source = source.filter("format", "yuv444p").filter("setparams", range=range, colorspace=matrix)
    await run_ffmpeg([binary, "-v", "error", *source.output(str(tmp_path / "source.mkv"), **LOSSLESS).get_args()])
    video = ffmpeg.input(str(tmp_path / "source.mkv")).video
    _, (frame,) = await encode(player_colours(video), tmp_path / "clip.mp4", binary)
    assert largest_difference(frame_patches(frame), expected_patches("PNG")) <= TOLERANCE


def pictures(size: str, shape: str) -> Any:
    """Video of a white picture, with this size and shape of its pixels."""
    return ffmpeg.input(f"color=white:size={size}:rate=10:duration=0.3", f="lavfi").video.filter("setsar", shape)


@pytest.mark.parametrize(
    ("size", "shape", "frame_shape", "expected"),
    [
        ("720x576", "16/11", Fraction(16, 11), (720, 576)),
        ("360x288", "16/11", Fraction(16, 11), (720, 576)),  # smaller, of the same shape
        ("720x576", "16/11", Fraction(1), (720, 396)),  # as wide as the frame
        ("720x576", "1", Fraction(16, 11), (496, 576)),  # as high as the frame
        ("720x576", "12/11", Fraction(16, 11), (540, 576)),
        ("480x640", "1", Fraction(16, 11), (298, 576)),  # portrait
        ("640x480", "0/1", Fraction(1), (720, 540)),  # of unknown shape: square
        ("1920x2", "1", Fraction(1), (720, 2)),
        ("99x77", "1", Fraction(1), (720, 560)),
    ],
)
async def test_a_picture_is_fitted_into_a_frame_without_being_distorted(
    tmp_path: Path, binary: str, size: str, shape: str, frame_shape: Fraction, expected: tuple[int, int]
) -> None:
    output = tmp_path / "clip.mp4"
    video = fitted(pictures(size, shape), 720, 576, frame_shape, may_have_fields=not size.endswith("x2"))
    stream, frames = await encode(video, output, binary)
    assert (stream.width, stream.height, stream.sample_aspect_ratio) == (720, 576, frame_shape)
    white = frames[0].to_ndarray(format="gray") > 128
    rows, columns = numpy.nonzero(white)
    shown = int(numpy.ptp(columns)) + 1, int(numpy.ptp(rows)) + 1
    assert all(0 <= wanted - side <= 2 for wanted, side in zip(expected, shown, strict=True)), shown
    assert abs(int(columns.min()) - (719 - int(columns.max()))) <= 2 and abs(rows.min() - (575 - rows.max())) <= 2
    assert len(frames) == 3


@pytest.mark.parametrize("fields", ["interleave_top", "interleave_bottom"])
async def test_interlaced_video_gets_whole_frames_at_the_same_times(tmp_path: Path, binary: str, fields: str) -> None:
    first = "tff" if fields.endswith("top") else "bff"
    scrolling = ffmpeg.input(MOVING, f="lavfi").video.filter("scroll", horizontal=0.03).filter("format", "yuv420p")
    woven = scrolling.filter("tinterlace", mode=fields)
    uneven = woven.filter("settb", "1/1000000").filter("setpts", "(N*40000+mod(N,3)*7001)")
    _, combed = await encode(uneven.filter("setfield", first), tmp_path / "woven.mp4", binary)
    _, whole = await encode(deinterlaced(uneven.filter("setfield", first)), tmp_path / "whole.mp4", binary)
    assert [frame.pts for frame in whole] == [frame.pts for frame in combed] and len(whole) == 20
    assert {frame.interlaced_frame for frame in whole} == {False}
    assert max(map(combs, whole)) < max(map(combs, combed)) / 3


def combs(frame: Any) -> float:
    """How much each line differs from those beside it."""
    gray = frame.to_ndarray(format="gray").astype(int)
    return float(numpy.abs(2 * gray[1:-1] - gray[:-2] - gray[2:]).max(axis=1).mean() / 10)


async def test_progressive_video_passes_unchanged(tmp_path: Path, binary: str) -> None:
    source = ffmpeg.input("testsrc2=size=320x240:rate=10:duration=1", f="lavfi").video.filter("format", "yuv420p")
    _, plain = await encode(source, tmp_path / "plain.mp4", binary)
    _, passed = await encode(deinterlaced(source), tmp_path / "passed.mp4", binary)
    assert [frame.pts for frame in passed] == [frame.pts for frame in plain]
    same = [(a.to_ndarray() == b.to_ndarray()).all() for a, b in zip(plain, passed, strict=True)]
    assert all(same) and len(same) == 10


async def test_a_single_interlaced_frame_is_not_lost(tmp_path: Path, binary: str) -> None:
    source = ffmpeg.input("color=white:size=320x240:rate=25:duration=0.04", f="lavfi").video.filter("setfield", "tff")
    _, frames = await encode(deinterlaced(source), tmp_path / "one.mp4", binary)
    assert len(frames) == 1


def test_filters_are_also_given_as_the_text_of_an_option() -> None:
    assert filter_text(even_size) == "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    assert filter_text(lambda video: deinterlaced(even_size(video))) == (
        "pad=ceil(iw/2)*2:ceil(ih/2)*2,bwdif=deint=interlaced:mode=send_frame:parity=auto"
    )
