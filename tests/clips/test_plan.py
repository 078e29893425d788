"""Plans: the first and last frames of a range, and what is joined without re-encoding."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.recording import LOGGER, SMALL, START_US, US, capture_times, record, take_over, write_foreign
from videostore.base.ranges import Range
from videostore.clips.plan import (
    ClipPart,
    Plan,
    groups_of,
    make_plan,
)
from videostore.clips.segment_order import sort_segments
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
    return list(sort_segments([(one, directory / one.file_name) for one in await take_over(directory)]))


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
