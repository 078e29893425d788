from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy
from PIL import Image

from tests.support.amount import some
from tests.support.recording import LOGGER
from videostore.clips.picture import make_snapshot, shown_frames
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.coded_picture import CodedPicture, read_coded_picture
from videostore.media.look import Look
from videostore.media.segment import probe
from videostore.media.shown_picture import ShownFrames, scaling, show_frame

START_S = 1_700_000_000


async def coded(tmp_path: Path, binary: str, size: str, shape: str, pixels: str, **options: object) -> CodedPicture:
    path = tmp_path / f"{START_S}.mp4"
    video = ffmpeg.input(f"testsrc2=size={size}:rate=5:duration=2", f="lavfi").video
    video = video.filter("scale", flags="bicubic", out_range="pc" if pixels.startswith("yuvj") else "tv")
    video = video.filter("format", pixels).filter("setsar", shape)
    quiet = {"x265-params": "log-level=none:keyint=5"} if options["c:v"] == "libx265" else {"g": 5}
    output = video.output(str(path), preset="ultrafast", crf=12, **quiet, **options)
    await run_ffmpeg(output.global_args("-v", "error").compile(cmd=binary))
    segment = probe(path)
    found = read_coded_picture(segment, path, segment.end_us, segment.start_us + 1_500_000, keyframe=False)
    assert found is not None and found.exact and len(found.frames) > 1
    return found


@some(
    ("size", "shape", "pixels", "options"),
    [
        ("1280x720", "1", "yuv420p10le", {"c:v": "libx265", "colorspace": "bt709"}),
        ("318x182", "4/3", "yuv420p", {"c:v": "libx264", "bf": 2}),
        ("321x181", "1", "yuv444p", {"c:v": "libx264"}),
        ("1280x720", "1", "yuv420p", {"c:v": "libx264"}),
        ("320x180", "1", "yuv420p", {"c:v": "libx264"}),
        ("320x180", "1", "yuvj420p", {"c:v": "libx264"}),
        ("320x180", "1", "yuv420p10le", {"c:v": "libx264"}),
        ("320x180", "2", "yuv420p", {"c:v": "libx265"}),
    ],
    4,
)
async def test_the_picture_is_the_one_that_ffmpeg_makes(
    tmp_path: Path, binary: str, size: str, shape: str, pixels: str, options: dict[str, object]
) -> None:
    picture = await coded(tmp_path, binary, size, shape, pixels, **options)
    for width in (None, 160):
        shown = show_frame(shown_frames(picture, width))
        assert shown is not None
        expected = await make_snapshot(binary, picture, width, LOGGER, damaged=None)
        ours, theirs = (Image.open(io.BytesIO(one)) for one in (shown, expected.jpeg))
        assert ours.size == theirs.size == (expected.width, expected.height)
        difference = numpy.asarray(ours.convert("RGB")).astype(int) - numpy.asarray(theirs.convert("RGB")).astype(int)
        assert abs(difference).mean() < 1  # what JPEG makes of the roundings of two versions


async def test_what_is_not_well_is_refused(binary: str, recording: Path, times: list[int]) -> None:
    path = min(recording.glob("*.mp4"))
    segment = probe(path)
    found = read_coded_picture(segment, path, segment.end_us, times[7], keyframe=False)
    assert found is not None
    shown = shown_frames(found, None)
    assert show_frame(shown) is not None
    place, data = shown.frames[-1]
    middle = len(data) // 2
    for broken in (
        b"",
        b"\0\0\0\1\x09\x10",
        data[:middle],
        data[:middle] + bytes(255 - one for one in data[middle : middle + 40]) + data[middle + 40 :],
    ):
        frames = (*shown.frames[:-1], (place, broken))
        assert show_frame(ShownFrames(shown.codec, shown.size, shown.look, frames, None)) is None
    assert show_frame(ShownFrames("av1", shown.size, shown.look, shown.frames, None)) is None


def test_video_that_names_no_matrix_is_taken_as_players_take_it() -> None:
    assert scaling((640, 480), Look(), 320)[1]["in_color_matrix"] == "bt601"
    assert scaling((1280, 720), Look(Fraction(1), (1, 1, 2, False)), 320)[1]["in_color_matrix"] == "bt709"
    assert "in_color_matrix" not in scaling((1280, 720), Look(Fraction(1), (1, 1, 1, False)), 320)[1]
