"""Between which frames a file can be copied, by the order in which its frames are decoded."""

from __future__ import annotations

from videostore.clips.copy_range import CopyEnd, CopyRange, copy_range
from videostore.media.coded_order import CodedFrame, Leading
from videostore.media.look import Look
from videostore.media.segment import FrameTimes

START_US = 1_000_000
PLACES = [0, 3, 1, 2, 7, 4, 5, 6, 10, 8, 9, 11]
"""Where the frames are shown that are decoded one after the other. A closed GOP begins at 0, an open one at 7."""


def frame_times(*, fresh: bool = True, leading: Leading | None = None) -> FrameTimes:
    order = tuple(
        CodedFrame(place * 100, (number - 2) * 100, place in (0, 7), fresh and place in (0, 7))
        for number, place in enumerate(PLACES)
    )
    all_us = sorted(START_US + one.shown_us for one in order)
    entries_us = [START_US, START_US + 700] if fresh else []
    keyframes_us = [START_US, START_US + 700]
    return FrameTimes(all_us, keyframes_us, entries_us, all_us[-1] + 100, 1, Look(), order=order, leading=leading)


def ranged(first: int, last: int, times: FrameTimes) -> CopyRange:
    first_us, last_us = START_US + first * 100, START_US + last * 100
    return copy_range(times, first_us, last_us, last_us + 1)


def test_a_copy_can_begin_with_an_open_gop_without_the_frames_that_need_the_one_before() -> None:
    found = ranged(2, 11, frame_times())
    assert (found.keyframe_us, found.opens, found.decode_us) == (START_US + 700, True, START_US)
    assert found.keyframe_delay_us == 500
    assert ranged(0, 11, frame_times()).opens is False


def test_of_h264_decoding_begins_before_an_open_gop() -> None:
    assert ranged(8, 11, frame_times()).decode_us == START_US + 700
    found = ranged(8, 11, frame_times(fresh=False))
    assert (found.keyframe_us, found.decode_us) == (None, START_US)


def test_a_copy_that_ends_in_an_open_gop_has_its_keyframe_and_the_frames_before_it() -> None:
    assert ranged(0, 9, frame_times()).end == CopyEnd(START_US + 600, START_US + 800, 200, START_US + 700)
    assert ranged(0, 10, frame_times()).end == CopyEnd(START_US + 900, None, 100)


def test_a_copy_begins_with_the_open_gop_of_a_file_only_if_that_can_follow_the_frames_of_another_encoder() -> None:
    """Chromium takes no H.264 that begins with one: what damage has left of a file is encoded up to a closed GOP."""
    leading = Leading((START_US - 100,), START_US)
    found = ranged(0, 11, frame_times(leading=leading))
    assert (found.keyframe_us, found.opens) == (START_US, True)
    assert ranged(0, 11, frame_times(fresh=False, leading=leading)).keyframe_us is None
