from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.boxes import leaves
from videostore.media.look import Look

SMPTE170M = "setparams=range=limited:color_primaries=smpte170m:color_trc=smpte170m:colorspace=smpte170m"
HEADER = b"\0" * 86


async def looks_of(path: Path, *options: str) -> tuple[Look, Look]:
    """Write a video, and read how it is to be shown from its boxes and by PyAV."""
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:duration=0.2", "-pix_fmt", "yuv420p"]
    await run_ffmpeg([find_ffmpeg(), "-v", "error", *source, "-c:v", "libx264", *options, str(path)])
    data = path.read_bytes()
    at = data.index(b"moov") - 4
    with av.open(str(path)) as container:
        stream = Look.of_stream(container.streams.video[0])
    return Look.of_entry(dict(leaves(data[at + 8 :]))[b"stsd"]), stream


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), Look()),
        (("-vf", "setsar=16/11"), Look(Fraction(16, 11))),
        (("-vf", "setsar=1/2"), Look(Fraction(1, 2))),
        (
            (
                "-vf",
                f"{SMPTE170M},setsar=12/11",
            ),
            Look(Fraction(12, 11), (6, 6, 6, False)),
        ),
        (
            ("-vf", SMPTE170M.replace("smpte170m", "bt709")),
            Look(colours=(1, 1, 1, False)),
        ),
    ],
)
async def test_pixel_shape_and_colours_are_read_from_the_boxes_and_from_pyav(
    tmp_path: Path, options: tuple[str, ...], expected: Look
) -> None:
    assert await looks_of(tmp_path / "a.mp4", *options) == (expected, expected)


def box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


@pytest.mark.parametrize(
    "boxes",
    [
        b"",
        b"\0\0\0\x10pas",
        box(b"pasp", b"\0" * 8),
        box(b"pasp", b"\xff" * 8),
        box(b"pasp", b"\0\0"),
        box(b"colr", b"prof" + b"\0" * 40),
        box(b"colr", b"nclx"),
        b"\0\0\0\x04pasp" + b"\0" * 8,
        b"\xff" * 100,
    ],
)
def test_damaged_boxes_say_nothing(boxes: bytes) -> None:
    assert Look.of_entry(HEADER + boxes) == Look()


def test_the_full_range_is_a_bit_of_nclx_only() -> None:
    named = b"\0\x06\0\x06\0\x06"
    assert Look.of_entry(HEADER + box(b"colr", b"nclx" + named + b"\x80")).colours == (6, 6, 6, True)
    assert Look.of_entry(HEADER + box(b"colr", b"nclc" + named)).colours == (6, 6, 6, False)
