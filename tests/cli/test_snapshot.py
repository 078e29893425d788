from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path

import numpy
import pytest
from PIL import ExifTags, Image

from scripts.fakes.painted_camera import read_paint
from tests.support.program import TIMEOUT_S, Program, exact
from videostore.cli.time_options import format_time


def painted_us(jpeg: bytes) -> int | None:
    paint = read_paint(numpy.asarray(Image.open(io.BytesIO(jpeg)).convert("L")))
    return paint.captured_us if paint else None


def test_the_picture_of_a_moment_is_written_with_its_time(
    program: Program, recording: Path, times: list[int], unchanged: None
) -> None:
    done = program("snapshot", exact(times[23] + 1), "--storage", recording, "-o", "face.jpg", "--utc")
    assert done.code == 0 and not done.err
    written = (program.here / "face.jpg").read_bytes()
    assert painted_us(written) == times[23]
    first, second = done.out.splitlines()
    assert re.fullmatch(r"face\.jpg  320 x 180  [\d.]+ KiB", first)
    assert second == f"captured  {format_time(times[23], utc=True, precision='microseconds')}"
    assert ExifTags.Base.DateTimeOriginal in Image.open(io.BytesIO(written)).getexif().get_ifd(ExifTags.IFD.Exif)
    assert os.listdir(program.here) == ["face.jpg"]
    again = program("snapshot", exact(times[23]), "--storage", recording, "-o", "face.jpg")
    assert again.code == 2 and "exists" in again.sentence
    narrow = program(
        *("snapshot", exact(times[23]), "--storage", recording, "-o", "face.jpg", "--overwrite"),
        *("--width", "160", "--keyframe"),
    )
    assert narrow.code == 0 and "  160 x 90  " in narrow.out


def test_a_picture_is_named_after_the_recorder_and_its_time(
    program: Program, recording: Path, times: list[int]
) -> None:
    assert program("snapshot", exact(times[0]), "--storage", recording).code == 0
    assert os.listdir(program.here) == [f"{recording.name}_2024-08-30_08-40-00.123.jpg"]


def test_a_picture_goes_to_a_pipe(program: Program, recording: Path, times: list[int]) -> None:
    arguments = program.command("snapshot", exact(times[3]), "--storage", recording, "-o", "-")
    done = subprocess.run(
        arguments, cwd=program.here, env=program.environment(), capture_output=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0 and not done.stderr and painted_us(done.stdout) == times[3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["2024-08-30T07:50:00Z"],
            "Nothing is recorded at 2024-08-30T09:50:00.000+02:00. The last frame before it was",
        ),
        (["-5d"], "Nothing is recorded at "),
        (["2100-01-01"], "AT is in the future"),
        (["2024-08-30T06:40:01Z", "--width", "5"], "--width is 5. It must be a whole number of pixels from 16"),
        (["2024-08-30T06:40:01Z", "--width", "wide"], "--width is 'wide'"),
        (["soon"], "AT is not a valid time: 'soon'"),
        (["2024-08-30T06:40:01Z", "-o", "missing/face.jpg"], "missing"),
        (["2024-08-30T06:40:01Z", "-o", "face.png"], "face.png would be a JPEG, which is not what its name says"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(
    program: Program, recording: Path, arguments: list[str], words: str
) -> None:
    done = program("snapshot", *arguments, "--storage", recording)
    assert done.code == 2 and words in done.sentence and not os.listdir(program.here)


def test_no_picture_is_written_into_the_recording(program: Program, recording: Path, unchanged: None) -> None:
    done = program("snapshot", "2024-08-30T06:40:01Z", "--storage", recording, "-o", str(recording / "face.jpg"))
    assert done.code == 2 and str(recording) in done.sentence
