"""Reading the paint of frames that were scaled into a clip of another size, and comparing their times."""

from __future__ import annotations

import io
from typing import Any

import numpy
from numpy.typing import NDArray
from PIL import Image

from scripts.fakes.clip_check import PaintReader, check_clip
from scripts.fakes.paint import PaintedFrame, paint, read_paint

PAINTED = (480, 360)
WRONG = (320, 180)
MISREAD = PaintedFrame(1_725_000_119_123_457, 2380)
"""A frame that passes the checksum also at a wrong size, where its time is ten years later."""


def brightness(frame: PaintedFrame) -> NDArray[Any]:
    """The frame in the middle of an image of 640 x 360, with bars at its sides."""
    data = paint(frame.captured_us, frame.counter, width=PAINTED[0], height=PAINTED[1], mime="image/png")
    image = Image.new("L", (640, 360))
    image.paste(Image.open(io.BytesIO(data)).convert("L"), (80, 0))
    return numpy.asarray(image)


def test_a_scaled_frame_is_read_at_its_own_size_although_a_wrong_size_passes_the_checksum() -> None:
    wrong = read_paint(brightness(MISREAD), WRONG)
    assert wrong is not None and wrong != MISREAD
    before = PaintedFrame(MISREAD.captured_us - 50_000, MISREAD.counter - 1)
    reader = PaintReader([None, WRONG, PAINTED])
    assert reader.read(brightness(before)) == before
    assert reader.read(brightness(MISREAD)) == MISREAD


def test_after_a_change_of_the_size_the_reading_nearest_in_time_counts() -> None:
    before = PaintedFrame(MISREAD.captured_us - 50_000, MISREAD.counter - 1)
    reader = PaintReader([None, WRONG, PAINTED])
    full_size = paint(before.captured_us, before.counter, width=640, height=360, mime="image/png")
    assert reader.read(numpy.asarray(Image.open(io.BytesIO(full_size)).convert("L"))) == before
    assert reader.read(brightness(MISREAD)) == MISREAD


def test_a_frame_that_is_late_by_one_unit_of_the_clips_time_is_late_by_no_more() -> None:
    captured, unit_s = [MISREAD.captured_us + 100_000 * number for number in range(40)], 1 / 90_000
    shown = [
        (0.1 * number + unit_s * (number > 0), PaintedFrame(time_us, number)) for number, time_us in enumerate(captured)
    ]
    check = check_clip(shown, captured, captured[0], captured[-1] + 1)
    assert check.flawless and 0.999 * unit_s < check.drift_ms / 1000 <= unit_s, check
