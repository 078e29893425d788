"""What the tags say of plans whose segments do not exist. tests/invariants has the times of real clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support.recording import START_US, US
from videostore.base.ranges import Range
from videostore.clips.plan import ClipPart, Plan
from videostore.clips.time_tags import plan_stretches, plan_tags
from videostore.media.clip_times import ClipStretch, parse_time_tags
from videostore.media.segment import Segment


def part(start_us: int, length_us: int = 10 * US, *, run_us: int | None = 1, number: int = 0) -> ClipPart:
    """A whole segment."""
    name = f"{start_us}.mp4"
    segment = Segment(name, start_us, start_us + length_us, 1000, 640, 480, "h264", run_us=run_us, run_number=number)
    return ClipPart(segment, Path("/storage") / name, segment.end_us, start_us)


def plan_of(*parts: ClipPart) -> Plan:
    asked = Range(parts[0].first_us, parts[-1].end_us)
    return Plan(asked, tuple((one.segment, one.path) for one in parts), parts, (asked,), 1000)


def test_segments_that_touch_are_one_stretch() -> None:
    parts = [part(START_US), part(START_US + 10 * US, number=1), part(START_US + 20 * US, 7, number=2)]
    assert plan_stretches(parts) == [ClipStretch(0, START_US, START_US + 20 * US + 7)]


def test_the_end_of_a_part_is_the_start_of_the_next_one_and_not_its_own_guess() -> None:
    first = replace(part(START_US), end_us=START_US + 10 * US + 40_000)
    second = part(START_US + 10 * US + 40_000)
    assert plan_stretches([first, second]) == [ClipStretch(0, START_US, START_US + 20 * US + 40_000)]


def test_a_gap_of_a_microsecond_is_not_hidden() -> None:
    second = part(START_US + 10 * US + 1)
    assert plan_stretches([part(START_US), second]) == [
        ClipStretch(0, START_US, START_US + 10 * US),
        ClipStretch(10 * US, second.first_us, second.end_us),
    ]


def test_what_is_left_out_at_both_ends_moves_the_positions() -> None:
    first = replace(part(START_US), first_us=START_US + 4 * US)
    last_us, next_us = START_US + 63 * US, START_US + 63 * US + 100_001
    second = replace(part(START_US + 60 * US), stop_us=(last_us + next_us) // 2, last_length_us=next_us - last_us)
    assert plan_stretches([first, second]) == [
        ClipStretch(0, START_US + 4 * US, START_US + 10 * US),
        ClipStretch(6 * US, START_US + 60 * US, next_us),
    ]


def test_segments_of_the_go_module_are_dated_one_by_one_and_to_the_second() -> None:
    first = part(1_700_000_000 * US, 29_900_000, run_us=None)
    second = part(1_700_000_030 * US, 30_100_000, run_us=None)
    assert plan_stretches([first, second]) == [
        ClipStretch(0, first.first_us, first.first_us + 29_900_000, exact=False),
        ClipStretch(29_900_000, second.first_us, second.first_us + 30_100_000, exact=False),
    ]


def test_any_name_of_a_recorder_can_be_written() -> None:
    for name, written in (("é 🚪\\", "é 🚪\\"), ("nul\0", "nul"), ("\ud800", "?"), ("n" * 999, "n" * 255)):
        times = parse_time_tags(plan_tags(plan_of(part(START_US)), name))
        assert times is not None and times.recorder == written
