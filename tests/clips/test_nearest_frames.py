from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support.open_gops import TIMES, OpenGops
from tests.support.recording import START_US, US, Cutter
from videostore.base.ranges import Range
from videostore.clips.nearest_frames import nearest_frames
from videostore.media.segment import Segment, probe


async def stored(whole: Cutter) -> list[tuple[Segment, Path]]:
    return [(one, whole.archive.directory / one.file_name) for one in await whole.archive.index.oldest(100)]


async def test_the_nearest_frames_are_found_within_a_segment_and_at_its_ends(whole: Cutter, times: list[int]) -> None:
    found = await stored(whole)
    for number in range(1, len(times)):
        before_us, after_us = times[number - 1], times[number]
        asked = Range(before_us + 1, after_us)
        assert nearest_frames(found, asked) == (before_us, after_us)
        assert nearest_frames([*reversed(found)], asked) == (before_us, after_us)


async def test_there_is_none_before_the_first_frame_and_none_after_the_last(whole: Cutter, times: list[int]) -> None:
    found = await stored(whole)
    assert nearest_frames(found, Range(times[0] - US, times[0])) == (None, times[0])
    assert nearest_frames(found, Range(times[-1] + 1, times[-1] + US)) == (times[-1], None)
    assert nearest_frames([], Range(START_US, START_US + US)) == (None, None)


async def test_a_segment_that_cannot_be_read_is_left_out(whole: Cutter, times: list[int]) -> None:
    found = await stored(whole)
    second = found[1][0]
    gone = [(one, path if one != second else path.with_name("gone.mp4")) for one, path in found]
    before_us = max(time_us for time_us in times if time_us < second.start_us)
    asked = Range(second.start_us + 1, second.start_us + 2)
    assert nearest_frames(found, asked)[0] == second.start_us
    assert nearest_frames(gone, asked) == (before_us, found[2][0].start_us)


async def test_of_overlapping_runs_the_latest_frame_before_and_the_earliest_after_count(
    whole: Cutter, times: list[int]
) -> None:
    found = await stored(whole)
    longer = [(replace(one, start_us=one.start_us - US), path) for one, path in found]
    asked = Range(times[9] + 1, times[10])
    assert nearest_frames([*found, *longer], asked) == (times[9], times[10])


async def test_the_frames_of_an_open_gop_in_the_next_file_are_the_nearest_ones(open_gops: OpenGops) -> None:
    found = [(probe(path), path) for path in sorted(open_gops.directory.glob("*.mp4"))]
    border = open_gops.begins[1]
    for number in range(border - open_gops.leading, border + 2):
        asked = Range(TIMES[number - 1] + 1, TIMES[number])
        assert nearest_frames(found, asked) == (TIMES[number - 1], TIMES[number])
    asked = Range(TIMES[border - 1] + 1, TIMES[border])
    assert nearest_frames(found[1:], asked) == (None, TIMES[border])
