"""The comparison of stored pictures with those that were sent notices what can go wrong."""

from __future__ import annotations

from dataclasses import replace

from tests.streams.stored import StoredPicture, compare
from tests.support.coded_stream import FPS, SIZE, SentPicture
from tests.support.recording import START_US, US

_SENT = [SentPicture(number, START_US + number * US // FPS, START_US) for number in range(40)]
_STORED = [StoredPicture(one.painted, one.captured_us + 7000, SIZE) for one in _SENT]


def test_all_pictures_in_their_places() -> None:
    comparison = compare(_STORED, _SENT)
    assert comparison.exact
    assert (comparison.error_us, comparison.spread_us, comparison.true_distances()) == (7000, 0, 1)


def test_a_picture_that_is_missing() -> None:
    assert compare(_STORED[:20] + _STORED[21:], _SENT).missing == 1


def test_a_picture_that_is_there_twice_or_too_early() -> None:
    again = replace(_STORED[20], captured_us=_STORED[20].captured_us + 10)
    assert compare([*_STORED[:21], again, *_STORED[21:]], _SENT).doubled == 1
    assert compare([*_STORED[:20], _STORED[21], _STORED[20], *_STORED[22:]], _SENT).doubled == 1


def test_a_picture_that_was_not_sent_or_at_another_time() -> None:
    strange = replace(_STORED[20], painted=77)
    late = replace(_STORED[20], captured_us=_STORED[20].captured_us + 60 * US)
    for wrong in (strange, late):
        comparison = compare([*_STORED[:20], wrong, *_STORED[21:]], _SENT)
        assert (comparison.invented, comparison.missing) == (1, 1)


def test_a_picture_that_cannot_be_read() -> None:
    comparison = compare([*_STORED[:20], replace(_STORED[20], painted=None), *_STORED[21:]], _SENT)
    assert (comparison.unreadable, comparison.missing) == (1, 1)


def test_times_that_move_among_each_other() -> None:
    moved = [replace(one, captured_us=one.captured_us + number % 2 * 3000) for number, one in enumerate(_STORED)]
    comparison = compare(moved, _SENT)
    assert comparison.exact
    assert comparison.spread_us == 3000
    assert comparison.true_distances() == 0
    assert comparison.moved_on_us == 3000
