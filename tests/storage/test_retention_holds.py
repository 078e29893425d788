from __future__ import annotations

import pytest

from tests.support.recording import US, FixedClock
from videostore.base.ranges import Range
from videostore.storage.retention_holds import RetentionHolds


def test_at_first_nothing_is_held() -> None:
    holds = RetentionHolds(FixedClock())
    assert holds.ranges == [] and holds.since_us is None


def test_ranges_that_overlap_or_touch_are_merged_and_sorted() -> None:
    holds = RetentionHolds(FixedClock())
    with holds.hold(50, 60), holds.hold(10, 20), holds.hold(15, 30), holds.hold(30, 40):
        assert holds.ranges == [Range(10, 40), Range(50, 60)]


def test_each_hold_lasts_as_long_as_its_context_even_if_two_are_equal() -> None:
    holds = RetentionHolds(FixedClock())
    with holds.hold(10, 20):
        with holds.hold(10, 20):
            assert holds.ranges == [Range(10, 20)]
        assert holds.ranges == [Range(10, 20)]
    assert holds.ranges == []


def test_a_hold_ends_when_its_clip_fails() -> None:
    holds = RetentionHolds(FixedClock())
    with pytest.raises(RuntimeError), holds.hold(10, 20):
        raise RuntimeError
    assert holds.ranges == [] and holds.since_us is None


def test_since_is_when_the_oldest_hold_was_requested() -> None:
    clock = FixedClock()
    holds = RetentionHolds(clock)
    first_us = clock.wall_us()
    with holds.hold(10, 20):
        clock.advance(5)
        with holds.hold(30, 40):
            assert holds.since_us == first_us
            with holds.hold(50, 60, since_us=first_us - US):  # accepted by an earlier process
                assert holds.since_us == first_us - US
            assert holds.since_us == first_us
    with holds.hold(30, 40):
        assert holds.since_us == first_us + 5 * US


def test_a_hold_that_was_requested_at_the_epoch_counts() -> None:
    holds = RetentionHolds(FixedClock())
    with holds.hold(10, 20, since_us=0):
        assert holds.since_us == 0


def test_what_is_kept_is_held_as_long_as_it_is_listed() -> None:
    kept: list[Range] = [Range(0, 10)]
    holds = RetentionHolds(FixedClock())
    holds.kept = lambda: kept
    assert (holds.ranges, holds.since_us) == ([Range(0, 10)], 0)
    with holds.hold(10, 20, 5):
        assert (holds.ranges, holds.since_us) == ([Range(0, 20)], 0)
        kept.clear()
        assert (holds.ranges, holds.since_us) == ([Range(10, 20)], 5)
    assert (holds.ranges, holds.since_us) == ([], None)


class Unread:
    """Notes that the disk may not give."""

    def __init__(self) -> None:
        self.unread = True
        self.kept = [Range(0, 10)]


def test_while_it_is_not_known_what_is_kept_all_that_was_stored_is_held() -> None:
    clock, notes = FixedClock(), Unread()
    holds = RetentionHolds(clock)
    holds.follow(notes, lambda: clock.wall_us() + 7 * US)  # the clock is behind what is stored
    first = Range(0, clock.wall_us() + 7 * US)
    clock.advance(60)
    assert (holds.unknown, holds.ranges, holds.since_us) == (True, [first], 0)
    notes.unread = False
    assert (holds.unknown, holds.ranges) == (False, [Range(0, 10)])
    notes.unread = True
    assert holds.ranges == [Range(0, clock.wall_us() + 7 * US)]
