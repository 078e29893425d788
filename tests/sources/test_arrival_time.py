from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from tests.support.recording import START_US, US
from videostore.sources.arrival_time import ArrivalTimeEstimator

INTERVAL_US = 40_000


def dated(true_us: Sequence[int], delays_us: Sequence[int], pts_us: Sequence[int]) -> list[int]:
    """How far the date of each frame is off its capture time."""
    dates = ArrivalTimeEstimator()
    off = []
    for captured_us, delay_us, pts in zip(true_us, delays_us, pts_us, strict=True):
        assert dates.observe(pts, captured_us + delay_us)
        off.append(dates.date(pts) - captured_us)
    return off


def test_the_smallest_delay_dates_all_frames() -> None:
    times = [START_US + n * INTERVAL_US for n in range(100)]
    delays = [30_000, 25_000, 10_000, *[random.Random(n).randrange(10_000, 200_000) for n in range(97)]]
    off = dated(times, delays, [t - START_US + 777 for t in times])
    assert off[:3] == [30_000, 25_000, 10_000]
    assert all(10_000 <= one <= 10_000 + 100 * INTERVAL_US * 500 // US for one in off[3:])


def test_a_camera_whose_clock_drifts_is_followed_in_both_directions() -> None:
    for ppm in (-300, 300):
        dice = random.Random(ppm)
        times = [START_US + n * INTERVAL_US for n in range(25 * 3600)]
        delays = [5_000 + int(dice.expovariate(1 / 10_000)) for _ in times]
        pts = [(t - START_US) * (US + ppm) // US for t in times]
        off = dated(times, delays, pts)
        assert max(map(abs, off[1000:])) < 25_000  # it would be a second if the drift were not followed


def test_dates_keep_increasing_when_a_smaller_delay_is_seen() -> None:
    times = [START_US + n * INTERVAL_US for n in range(30)]
    delays = [500_000 - 100_000 * n for n in range(5)] + [0] * 25
    off = dated(times, delays, [t - START_US for t in times])
    dated_us = [t + o for t, o in zip(times, off, strict=True)]
    assert all(later > earlier for earlier, later in itertools.pairwise(dated_us))
    assert off[0] == 500_000 and off[-1] == 0


def test_frames_that_arrive_in_another_order_than_they_are_shown_are_dated_in_that_of_showing() -> None:
    dates, dated_us = ArrivalTimeEstimator(), {}
    for turn, number in enumerate((0, 4, 2, 1, 3, 8, 6, 5, 7)):
        pts_us = number * INTERVAL_US
        assert dates.observe(pts_us, START_US + pts_us + 400_000 - 50_000 * turn)
        dated_us[number] = dates.date(pts_us)
    in_order = [dated_us[number] for number in sorted(dated_us)]
    assert in_order == sorted(set(in_order))


def test_a_jump_of_the_timestamps_is_noticed() -> None:
    for jump_us in (-6 * US, 6 * US):
        dates = ArrivalTimeEstimator()
        assert dates.observe(0, START_US)
        assert dates.observe(INTERVAL_US, START_US + INTERVAL_US + 4 * US)  # only late
        assert not dates.observe(2 * INTERVAL_US + jump_us, START_US + 2 * INTERVAL_US)
        assert dates.observe(3 * INTERVAL_US, START_US + 3 * INTERVAL_US)  # the jump was left out
