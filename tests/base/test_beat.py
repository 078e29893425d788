from __future__ import annotations

import time

import pytest

from videostore.base.beat import BEAT_S, until_beat


@pytest.mark.parametrize("every_s", [BEAT_S, 2 * BEAT_S, 1.0])
def test_the_next_beat_is_the_same_moment_for_all_that_wait_for_it(every_s: float) -> None:
    before_s = time.monotonic()
    left_s = until_beat(every_s)
    after_s = time.monotonic()
    assert 0 < left_s <= every_s
    # The clock was read between the two readings.
    beat = (before_s + left_s) / every_s, (after_s + left_s) / every_s
    assert round(beat[1]) in range(int(beat[0] - 1e-6), int(beat[1] + 1e-6) + 2)


def test_longer_beats_fall_on_shorter_ones() -> None:
    long_s = time.monotonic() + until_beat(1.0)
    assert long_s % BEAT_S == pytest.approx(0, abs=0.05) or long_s % BEAT_S == pytest.approx(BEAT_S, abs=0.05)


def test_a_moment_behind_a_beat_comes_with_each_beat() -> None:
    moment_s = time.monotonic() + until_beat(1.0, 0.5)
    assert moment_s % 1.0 == pytest.approx(0.5, abs=0.2)
