"""Lists of very many values."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from videostore.base.ranges import Range
from videostore.clips.compact_list import BLOCK, CompactList
from videostore.media.segment import Segment

COUNTS = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7]


@pytest.mark.parametrize("count", COUNTS)
def test_it_is_a_sequence_like_a_list_of_the_same_values(count: int) -> None:
    plain = [(Range(number, number + 1), Path(f"/storage/{number}.mp4")) for number in range(count)]
    compact = CompactList(plain)
    assert len(compact) == count and list(compact) == plain and compact == plain and bool(compact) is bool(plain)
    assert [compact[number] for number in range(-count, count)] == [plain[number] for number in range(-count, count)]
    for place in (count, -count - 1):
        with pytest.raises(IndexError):
            compact[place]


@pytest.mark.parametrize("count", COUNTS)
def test_parts_of_it_are_those_of_the_list(count: int) -> None:
    plain = list(range(count))
    compact = CompactList(plain)
    borders = [None, 0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, -1, 5 * BLOCK]
    for begin in borders:
        for end in borders:
            part, expected = compact[begin:end], plain[begin:end]
            assert part == expected and list(part) == expected and len(part) == len(expected)
            assert part[:-1] == expected[:-1] and part[1:] == expected[1:] and part[::-2] == expected[::-2]
            if expected:
                assert (part[0], part[-1]) == (expected[0], expected[-1])


def test_lists_are_equal_only_if_all_of_their_values_are() -> None:
    plain = list(range(2 * BLOCK))
    assert CompactList(plain) == CompactList(plain) == tuple(plain)
    assert CompactList(plain) != plain[:-1]
    assert CompactList(plain) != [*plain[:-1], 0]
    assert CompactList(plain) != 5


def test_what_it_holds_costs_a_garbage_collection_nothing() -> None:
    """Each object that a collection visits holds up all threads."""
    count = 40 * BLOCK
    gc.collect()
    before = len(gc.get_objects())
    compact = CompactList(
        (Segment(f"{number}.mp4", number, number + 1, 1000, 640, 480, "h264"), Path(f"/storage/{number}.mp4"))
        for number in range(count)
    )
    assert len(compact) == count
    assert len(gc.get_objects()) - before < BLOCK
