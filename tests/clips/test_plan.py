"""Plans: the order of overlapping segments, which are neighbours, and the first and last frames of a range."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, SMALL, START_US, US, capture_times, record, take_over, write_foreign
from videostore.base.constants import JOIN_US
from videostore.base.ranges import Range
from videostore.clips.plan import (
    FOREIGN_SLACK_US,
    ClipPart,
    Plan,
    _touch,
    groups_of,
    make_plan,
    sort_segments,
)
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import Segment

Pairs = list[tuple[Segment, Path]]


def segment(start_s: float, end_s: float, run: int | None = None, number: int | None = None) -> Segment:
    """A segment of a run, or of another program, named by its times."""
    name = f"{start_s:g}-{end_s:g}.mp4"
    start_us, end_us = round(start_s * US), round(end_s * US)
    return Segment(name, start_us, end_us, 1000, 640, 480, "h264", run_us=run, run_number=number)


def run_of(run: int, *borders_s: float, numbered: bool = True) -> list[Segment]:
    """A run whose segments start and end at these times."""
    pairs = itertools.pairwise(borders_s)
    return [segment(a, b, run, number if numbered else None) for number, (a, b) in enumerate(pairs)]


def ordered(*segments: Segment, seed: int = 0) -> list[str]:
    """Names of segments in the order of a clip, found in any order."""
    found = [(one, Path(one.file_name)) for one in segments]
    random.Random(seed).shuffle(found)
    return [one.file_name for one, _ in sort_segments(found)]


def names(*segments: Segment) -> list[str]:
    return [one.file_name for one in segments]


# The order of overlapping segments


def test_segments_that_do_not_overlap_are_ordered_by_their_start() -> None:
    first, second = run_of(1, 0, 30, 60), run_of(2, 100, 130)
    assert ordered(*second, *first) == names(*first, *second)


@pytest.mark.parametrize("back_s", [0.15, 1, 1.9, 2.1, 14, 28.5, 30, 31, 31.9, 45, 59, 61, 75, 200])
@pytest.mark.parametrize("numbered", [True, False])
def test_overlapping_runs_follow_one_another_however_far_the_clock_was_set_back(back_s: float, numbered: bool) -> None:
    """The second run starts in the middle of a segment, or close to where one starts."""
    first = run_of(1, 0, 30, 60, 72.5, numbered=numbered)
    begin_s = 72.5 - back_s
    second = run_of(2, begin_s, begin_s + 30, begin_s + 60, begin_s + 64, numbered=numbered)
    for seed in range(5):
        assert ordered(*first, *second, seed=seed) in (names(*first, *second), names(*second, *first))


def test_a_run_that_starts_in_an_apparent_gap_of_another_run_does_not_divide_it() -> None:
    """The end of a segment's last frame is a guess, so there can seem to be a gap between two segments of one run."""
    first = [segment(0, 1.9, 1, 0), segment(2.0, 4.0, 1, 1)]
    second = run_of(2, 1.95, 3.95)
    assert ordered(*first, *second) in (names(*first, *second), names(*second, *first))


def test_each_of_three_recordings_of_the_same_time_is_kept_together() -> None:
    runs = [run_of(1, 0, 2, 4, 6), run_of(2, 1.5, 3.5, 5.5), run_of(3, 2.1, 4.1, 6.1)]
    found = ordered(*(one for run in runs for one in run))
    for run in runs:
        first = found.index(run[0].file_name)
        assert found[first : first + len(run)] == names(*run)


def test_runs_before_and_after_a_time_that_was_recorded_twice_keep_their_place() -> None:
    before, after = run_of(1, -90, -60, -30), run_of(4, 200, 230)
    first, second = run_of(2, 0, 30, 60), run_of(3, 10, 40, 70)
    found = ordered(*after, *second, *first, *before)
    assert found == names(*before, *first, *second, *after)


def test_segments_of_other_programs_whose_rounded_names_make_them_overlap_keep_their_order() -> None:
    foreign = [segment(0, 31.2), segment(30, 60.9), segment(60, 90.5)]
    assert ordered(*foreign) == names(*foreign)
    ours = run_of(1, 90, 120, 150)
    assert ordered(*ours, *foreign) == names(*foreign, *ours)


def test_no_segment_is_lost_or_doubled_whatever_is_found() -> None:
    dice = random.Random(1)
    for _ in range(300):
        found: Pairs = []
        for number in range(dice.randrange(12)):
            start_s = dice.uniform(0, 40)
            one = segment(start_s, start_s + dice.choice([1.0, 2.0, 30.0]), dice.choice([None, 1, 2, 3]))
            found.append((replace(one, file_name=f"{number}.mp4"), Path(f"{number}.mp4")))
        order = sort_segments(found)
        assert sorted(one.file_name for one, _ in order) == sorted(one.file_name for one, _ in found)
        for run in (1, 2, 3):
            starts = [one.start_us for one, _ in order if one.run_us == run]
            assert starts == sorted(starts)


# Which segments are neighbours


@pytest.mark.parametrize("distance_us", [-1, 0, 1, 10 * US, 3600 * US])
def test_segments_of_one_run_with_consecutive_numbers_touch_at_any_distance(distance_us: int) -> None:
    one = segment(0, 30, 1, 4)
    other = replace(segment(0, 30, 1, 5), start_us=one.end_us + distance_us)
    assert _touch(one, other)
    assert not _touch(one, replace(other, run_number=6))  # the one between them was deleted


def test_segments_of_one_run_without_numbers_touch_if_they_are_near() -> None:
    one = segment(0, 30, 1)
    for distance_us, touching in ((0, True), (15 * US, True), (15 * US + 1, False)):
        other = replace(segment(0, 30, 1, 5), start_us=one.end_us + distance_us)
        assert _touch(one, other) is touching
    short = segment(0, 1, 1)
    assert _touch(short, replace(one, start_us=short.end_us + 2 * US))
    assert not _touch(short, replace(one, start_us=short.end_us + 2 * US + 1))


def test_segments_of_two_runs_touch_only_without_a_pause_between_them() -> None:
    one = segment(0, 30, 1, 0)
    for distance_us, touching in ((0, True), (JOIN_US, True), (JOIN_US + 1, False), (3600 * US, False)):
        assert _touch(one, replace(segment(0, 30, 2, 0), start_us=one.end_us + distance_us)) is touching


def test_segments_of_other_programs_touch_within_the_precision_of_whole_seconds() -> None:
    one, ours = segment(0, 30), segment(0, 30, 1, 0)
    for distance_us in (-FOREIGN_SLACK_US, 0, FOREIGN_SLACK_US):
        start_us = one.end_us + distance_us
        assert _touch(one, replace(one, start_us=start_us))
        assert _touch(one, replace(ours, start_us=start_us)) and _touch(ours, replace(one, start_us=start_us))
    for distance_us in (-FOREIGN_SLACK_US - 1, FOREIGN_SLACK_US + 1):
        assert not _touch(one, replace(one, start_us=one.end_us + distance_us))


# What is joined without re-encoding


def test_parts_are_joined_if_codec_and_size_are_equal_and_only_the_outer_ends_are_trimmed() -> None:
    parts = [ClipPart(one, Path(one.file_name), one.end_us, one.start_us) for one in run_of(1, 0, 30, 60, 90)]
    assert groups_of(parts) == [parts]
    outer = [replace(parts[0], first_us=5 * US), parts[1], replace(parts[2], stop_us=70 * US)]
    assert groups_of(outer) == [outer]
    inner = [parts[0], replace(parts[1], first_us=35 * US), parts[2]]
    assert groups_of(inner) == [inner[:1], inner[1:]]
    inner = [parts[0], replace(parts[1], stop_us=50 * US), parts[2]]
    assert groups_of(inner) == [inner[:2], inner[2:]]
    larger = [parts[0], replace(parts[1], segment=replace(parts[1].segment, width=1280)), parts[2]]
    assert [len(group) for group in groups_of(larger)] == [1, 1, 1]


# Frames of real recordings


async def found_in(directory: Path) -> Pairs:
    return sort_segments([(one, directory / one.file_name) for one in await take_over(directory)])


def plan_of(found: Sequence[tuple[Segment, Path]], from_us: int, to_us: int) -> Plan:
    return make_plan(found, Range(from_us, to_us), LOGGER)


def taken(plan: Plan) -> list[int]:
    """Capture times of the frames that a plan takes, read from its files."""
    times = []
    for part in plan.parts:
        stop_us = part.stop_us if part.stop_us is not None else 1 << 62
        times += [t for t in read_fragments(part.path).times_us if part.first_us <= t < stop_us]
    return times


async def test_a_frame_exactly_at_the_start_is_taken_and_one_exactly_at_the_end_is_not(
    recording: Path, times: list[int]
) -> None:
    found = await found_in(recording)
    for first in range(0, len(times) - 1, 3):
        for last in {first + 1, first + 2, len(times) - 1} - {len(times)}:
            for early_us, late_us in ((0, 0), (1, 0), (0, 1), (1, 1)):
                plan = plan_of(found, times[first] - early_us, times[last] + late_us)
                assert taken(plan) == times[first : last + late_us]


async def test_a_range_between_two_frames_takes_none_although_the_first_is_shown_into_it(
    recording: Path, times: list[int]
) -> None:
    found = await found_in(recording)
    for first in (0, 7, 20, len(times) - 2):
        plan = plan_of(found, times[first] + 1, times[first + 1])
        assert plan.parts == () and plan.ranges == (Range(times[first] + 1, times[first + 1]),)


async def test_a_range_of_one_microsecond_takes_the_frame_that_was_captured_then(
    recording: Path, times: list[int]
) -> None:
    found = await found_in(recording)
    for time_us in times:
        plan = plan_of(found, time_us, time_us + 1)
        assert taken(plan) == [time_us]


async def test_no_frames_are_lost_where_a_later_run_starts_before_the_end_of_an_earlier_one(tmp_path: Path) -> None:
    """The clock was set back by less than what counts as a pause."""
    first = capture_times(3)
    second = capture_times(3, first[-1] - 90_000, seed=1)
    for run in (first, second):
        await record(tmp_path, run, size=SMALL)
    found = await found_in(tmp_path)
    for from_us in (first[5], second[0] - 1, second[0], first[-1]):
        plan = plan_of(found, from_us, second[-1] + 1)
        assert sorted(taken(plan)) == sorted(t for t in first + second if t >= from_us)


async def test_no_frames_are_lost_after_the_second_by_which_another_program_named_its_segment(tmp_path: Path) -> None:
    """It started after our recording ended, and named its first segment by the second in which that ended."""
    times = capture_times(2.9)
    await record(tmp_path, times, size=SMALL)
    second = times[-1] // US
    assert times[-4] > second * US
    await write_foreign(tmp_path / f"{second}.mp4", seconds=1)
    found = await found_in(tmp_path)
    for from_us in (times[3], second * US, times[-3]):
        plan = plan_of(found, from_us, times[-1] + 1)
        ours = [part for part in plan.parts if part.segment.run_us is not None]
        assert taken(replace(plan, parts=tuple(ours))) == [t for t in times if t >= from_us]


async def test_a_plan_takes_what_is_left_of_a_truncated_segment_and_is_incomplete(
    recording: Path, times: list[int], tmp_path: Path
) -> None:
    directory = tmp_path / "storage"
    shutil.copytree(recording, directory)
    found = await found_in(directory)
    damaged, path = found[1]
    content = read_fragments(path)
    os.truncate(path, content.size_bytes * 2 // 3)
    left = read_fragments(path)
    assert content.times_us[0] < left.end_us < content.end_us - US // 2
    plan = plan_of(found, times[0], times[-1])
    assert taken(plan) == [t for t in times[:-1] if t < damaged.start_us or t in left.times_us or t >= content.end_us]
    assert [part.read_bytes for part in plan.parts] == [None, left.size_bytes, None, None]
    assert plan.ranges == (Range(times[0], left.end_us), Range(found[2][0].start_us, times[-1]))
    assert not plan.complete
    inside_us = (left.end_us + content.end_us) // 2
    assert [part.segment.file_name for part in plan_of(found, inside_us, content.end_us).parts] == []


async def test_a_plan_leaves_out_deleted_and_damaged_segments_and_is_incomplete(
    recording: Path, times: list[int], tmp_path: Path
) -> None:
    directory = tmp_path / "storage"
    shutil.copytree(recording, directory)
    found = await found_in(directory)
    found[1][1].unlink()
    found[2][1].write_bytes(b"garbage")
    plan = plan_of(found, times[0], times[-1])
    assert [part.segment for part in plan.parts] == [found[0][0], found[3][0]]
    assert len(plan.ranges) == 2 and not plan.complete


async def test_a_segment_of_another_program_is_dated_by_its_name_and_trimmed_to_the_range(tmp_path: Path) -> None:
    second = START_US // US
    for name in (second, second + 3):
        await write_foreign(tmp_path / f"{name}.mp4")
    found = await found_in(tmp_path)
    plan = plan_of(found, second * US, (second + 6) * US)
    assert plan.complete and not any(part.trimmed for part in plan.parts)
    plan = plan_of(found, second * US + 1, (second + 3) * US + 100_001)
    one, other = plan.parts
    assert one.first_us == second * US + 100_000 and one.stop_us is None
    assert other.skip_us == 0 and other.stop_us == (second + 3) * US + 150_000
