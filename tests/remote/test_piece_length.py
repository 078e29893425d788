"""Where the next piece of a clip begins and ends, without a machine."""

from __future__ import annotations

import pytest

from videostore.base.constants import US_PER_SECOND as US
from videostore.base.errors import TooLargeError
from videostore.base.ranges import Range
from videostore.remote.piece_length import RESPONSE_PRECISION_US, PieceLength

TOO_LARGE = TooLargeError("The clip is too large.")
"""As it comes through WebRTC, without sizes."""


def test_the_whole_clip_is_tried_first_and_then_its_halves() -> None:
    length = PieceLength(Range(0, 8 * US))
    assert (length.begin_us(0, 0), length.end_us(0)) == (0, 8 * US)
    length.refused(TOO_LARGE, Range(0, 8 * US), 0)
    assert length.end_us(0) == 4 * US


def test_a_refused_piece_gets_shorter_and_keeps_what_is_in_front_of_it_as_long_as_that_can_fit() -> None:
    length = PieceLength(Range(0, 16 * US))
    length.refused(TOO_LARGE, Range(0, 16 * US), 0)
    length.received(1000, 8 * US)
    at_us, overlap_us, tried = 8 * US, 3 * US, list[tuple[int, int]]()
    early_us = at_us - overlap_us - RESPONSE_PRECISION_US
    while (begin_us := length.begin_us(at_us, overlap_us)) < at_us:
        assert begin_us == early_us
        tried.append((begin_us, length.end_us(at_us)))
        length.refused(TOO_LARGE, Range(at_us, tried[-1][1]), at_us - begin_us)
    assert [end_us - at_us for _, end_us in tried] == [8 * US, 4 * US, 2 * US, US]
    # Alone it is half as long as what was refused last, with what was in front of it.
    assert length.end_us(at_us) - at_us == pytest.approx(2 * US, rel=0.01)
    length.received(1000, 2 * US)
    # At the next join it is tried again.
    assert length.begin_us(10 * US, overlap_us) < 10 * US


def test_what_is_in_front_of_a_piece_is_bounded_by_its_length_and_in_time() -> None:
    length = PieceLength(Range(0, 1000 * US))
    assert length.begin_us(100 * US, 19 * US) == 81 * US - RESPONSE_PRECISION_US
    assert length.begin_us(100 * US, 20 * US) == 100 * US
    assert length.begin_us(10 * US, 19 * US) == 0
    short = PieceLength(Range(0, 2 * US))
    assert short.begin_us(100 * US, 7 * US) < 100 * US == short.begin_us(100 * US, 8 * US)


def test_sizes_that_a_refusal_names_decide_the_length() -> None:
    length = PieceLength(Range(0, 100 * US))
    refusal = TooLargeError("clip-too-large", size_bytes=10_000, limit_bytes=2500, longest_s=25.0)
    length.refused(refusal, Range(0, 100 * US), 0)
    assert (length.end_us(0), length.total_bytes) == (10 * US, 10_000)
    length.received(2000, 10 * US)  # twice what it aims at
    assert length.end_us(10 * US) == 15 * US
    length.absent()
    assert length.end_us(10 * US) == 20 * US


def test_the_shortest_piece_that_is_too_large_ends_it() -> None:
    length = PieceLength(Range(0, US))
    with pytest.raises(TooLargeError) as refused:
        for _ in range(20):
            length.refused(TOO_LARGE, Range(0, length.end_us(0)), 0)
    assert refused.value is TOO_LARGE
