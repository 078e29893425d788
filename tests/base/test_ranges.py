from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostore.base.ranges import DamagedRange, Range, add_range, damaged_within, merge_damaged, merge_ranges

RANGES = st.lists(st.builds(lambda begin, length: Range(begin, begin + length), st.integers(0, 99), st.integers(1, 9)))


def covered(ranges: list[Range]) -> set[int]:
    return {us for one in ranges for us in range(one.from_us, one.to_us)}


def test_a_range_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Range(1, 2).to_us = 3  # type: ignore[misc]


def test_merging_sorts_ranges_and_absorbs_contained_ones() -> None:
    assert merge_ranges([Range(5, 6), Range(0, 4), Range(1, 2), Range(4, 5)]) == [Range(0, 6)]
    assert merge_ranges([Range(5, 6), Range(0, 4)]) == [Range(0, 4), Range(5, 6)]
    assert merge_ranges([]) == []


def test_ranges_are_joined_over_a_gap_up_to_the_slop() -> None:
    ranges = [Range(0, 10), Range(15, 20)]
    assert merge_ranges(ranges, slop_us=5) == [Range(0, 20)]
    assert merge_ranges(ranges, slop_us=4) == ranges


@given(RANGES)
def test_joined_ranges_cover_the_same_time_and_do_not_touch(ranges: list[Range]) -> None:
    merged = merge_ranges(ranges)
    assert covered(merged) == covered(ranges)
    assert all(one.to_us < other.from_us for one, other in itertools.pairwise(merged))
    assert merge_ranges(merged) == merged


# Damaged ranges


def test_damage_that_touches_is_one_if_it_has_one_reason() -> None:
    lost, other = DamagedRange(0, 10, "packets-lost"), DamagedRange(10, 20, "packets-lost")
    assert merge_damaged([other, lost]) == (DamagedRange(0, 20, "packets-lost"),)
    missing = dataclasses.replace(other, reason="frame-missing")
    assert merge_damaged([lost, missing]) == (lost, missing)


@given(RANGES, st.integers(1, 5))
def test_a_bound_for_damaged_ranges_leaves_none_of_it_out(ranges: list[Range], most: int) -> None:
    damaged = [DamagedRange(one.from_us * 10**6, one.to_us * 10**6, "packets-lost") for one in ranges]
    merged = merge_damaged(damaged, most)
    assert len(merged) <= most
    for one in damaged:
        assert any(other.from_us <= one.from_us and one.to_us <= other.to_us for other in merged)


def test_of_damaged_ranges_only_what_is_asked_for_is_kept() -> None:
    damaged = [DamagedRange(0, 10, "packets-lost"), DamagedRange(30 * 10**6, 40 * 10**6, "unreadable")]
    assert damaged_within(damaged, Range(5, 20)) == (DamagedRange(5, 10, "packets-lost"),)
    assert damaged_within(damaged, Range(10, 20)) == ()


def test_a_range_is_added_to_the_last_one_if_it_continues_that() -> None:
    held: list[Range] = []
    for begin, end in ((1, 3), (3, 5), (2, 4), (5, 5), (7, 8), (6, 9)):
        add_range(held, begin, end)
    assert held == [Range(1, 5), Range(7, 8), Range(6, 9)]
