"""What a growing playlist listed last: its pieces keep their numbers."""

from __future__ import annotations

from tests.support.recording import START_US, US
from videostore.store.viewing import SegmentKey
from videostore.web.listed_pieces import ListedPieces, Pieces
from videostore.web.parts import Part
from videostore.web.playlists import Entry


def key(number: int) -> SegmentKey:
    return SegmentKey(START_US + 2 * number * US, START_US)


def pieces(number: int, count: int) -> Pieces:
    start_us = key(number).start_us
    parts = [Part(start_us + at, start_us + at + 1, at, at + 1, keyed=True) for at in range(count)]
    return Pieces(key(number), [Entry(key(number), 10, part) for part in parts])


def test_only_the_last_segment_gets_more_pieces() -> None:
    listed = ListedPieces(0, 0)
    assert len(listed.take([pieces(0, 2), pieces(1, 2)])) == 4
    entries = listed.take([pieces(0, 3), pieces(1, 3), pieces(2, 1)])
    assert entries == [*pieces(0, 2).entries, *pieces(1, 3).entries, *pieces(2, 1).entries]
    assert (listed.sequence, listed.discontinuities) == (0, 0)


def test_a_segment_that_lost_pieces_is_left_out_with_all_before_it_and_counted() -> None:
    listed = ListedPieces(0, 0)
    listed.take([pieces(0, 2), pieces(1, 3), pieces(2, 1)])
    assert listed.take([pieces(0, 2), pieces(1, 1), pieces(2, 2)]) == list(pieces(2, 2).entries)
    assert (listed.sequence, listed.discontinuities) == (5, 2)
    assert listed.take([pieces(2, 2)]) == list(pieces(2, 2).entries)
    assert listed.sequence == 5


def test_when_all_pieces_are_gone_the_next_ones_have_higher_numbers() -> None:
    listed = ListedPieces(0, 0)
    listed.take([pieces(0, 2), pieces(1, 3)])
    assert listed.following([], waits=False) == []
    assert listed.take([]) == [] and listed.last is None and listed.begin_us is None
    assert listed.take([pieces(2, 1)]) == list(pieces(2, 1).entries)
    assert (listed.sequence, listed.discontinuities) == (5, 2)
