"""The order of overlapping segments, and which are neighbours."""

from __future__ import annotations

import gc
import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.recording import US
from videostore.base.constants import JOIN_US
from videostore.clips.compact_list import BLOCK, CompactList
from videostore.clips.segment_order import FOREIGN_SLACK_US, sort_segments, touch
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


def segment_objects() -> int:
    """How many segments and paths there are; other objects may be those of other threads."""
    return sum(isinstance(one, (Segment, Path)) for one in gc.get_objects())


def test_many_segments_keep_their_order_and_few_objects() -> None:
    """A range may have 100,000; each object that a garbage collection visits holds up the event loop."""
    run = run_of(1, *range(0, 30 * 5001, 30))
    found = CompactList((one, Path(one.file_name)) for one in [*run[4990:], *run[:4990]])
    expected = names(*run)
    del run
    gc.collect()
    before = segment_objects()
    order = sort_segments(found)
    assert segment_objects() - before < 3 * BLOCK  # the block that was used last; all would be 10,000
    assert [one.file_name for one, _ in order] == expected


@pytest.mark.parametrize(("found", "expected"), [("gb", "b"), ("gc", "c"), ("gbc", "c"), ("cb", "c")])
def test_of_copies_of_a_segment_the_longest_of_those_that_are_there_is_taken(
    tmp_path: Path, found: str, expected: str
) -> None:
    """The index may list a file that was renamed under both names."""
    ends_s = {"b": 8, "c": 9, "g": 10}
    copies = [(replace(segment(0, ends_s[name], 1), file_name=name), tmp_path / name) for name in found]
    for one, path in copies:
        if one.file_name != "g":
            path.touch()
    assert [one.file_name for one, _ in sort_segments(copies)] == [expected]


# Which segments are neighbours


@pytest.mark.parametrize("distance_us", [-1, 0, 1, 10 * US, 3600 * US])
def test_segments_of_one_run_with_consecutive_numbers_touch_at_any_distance(distance_us: int) -> None:
    one = segment(0, 30, 1, 4)
    other = replace(segment(0, 30, 1, 5), start_us=one.end_us + distance_us)
    assert touch(one, other)
    assert not touch(one, replace(other, run_number=6))  # the one between them was deleted


def test_segments_of_one_run_without_numbers_touch_if_they_are_near() -> None:
    one = segment(0, 30, 1)
    for distance_us, touching in ((0, True), (15 * US, True), (15 * US + 1, False)):
        other = replace(segment(0, 30, 1, 5), start_us=one.end_us + distance_us)
        assert touch(one, other) is touching
    short = segment(0, 1, 1)
    assert touch(short, replace(one, start_us=short.end_us + 2 * US))
    assert not touch(short, replace(one, start_us=short.end_us + 2 * US + 1))


def test_segments_of_two_runs_touch_only_without_a_pause_between_them() -> None:
    one = segment(0, 30, 1, 0)
    for distance_us, touching in ((0, True), (JOIN_US, True), (JOIN_US + 1, False), (3600 * US, False)):
        assert touch(one, replace(segment(0, 30, 2, 0), start_us=one.end_us + distance_us)) is touching


def test_segments_of_other_programs_touch_within_the_precision_of_whole_seconds() -> None:
    one, ours = segment(0, 30), segment(0, 30, 1, 0)
    for distance_us in (-FOREIGN_SLACK_US, 0, FOREIGN_SLACK_US):
        start_us = one.end_us + distance_us
        assert touch(one, replace(one, start_us=start_us))
        assert touch(one, replace(ours, start_us=start_us)) and touch(ours, replace(one, start_us=start_us))
    for distance_us in (-FOREIGN_SLACK_US - 1, FOREIGN_SLACK_US + 1):
        assert not touch(one, replace(one, start_us=one.end_us + distance_us))
