from __future__ import annotations

from videostore.base.ranges import Range, merge_ranges


def test_merging_sorts_ranges_and_absorbs_contained_ones() -> None:
    assert merge_ranges([Range(5, 6), Range(0, 4), Range(1, 2), Range(4, 5)]) == [Range(0, 6)]
    assert merge_ranges([Range(5, 6), Range(0, 4)]) == [Range(0, 4), Range(5, 6)]
    assert merge_ranges([]) == []
