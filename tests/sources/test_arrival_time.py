from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Sequence

import pytest

from tests.support.recording import START_US, US
from videostore.sources.arrival_time import ArrivalTimeEstimator

INTERVAL_US = 40_000
BEAT_US = US // 2


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


def arrivals_over_a_bad_network(times_us: Sequence[int], dice: random.Random) -> list[int]:
    """Each is delayed by up to 200 ms, in order, and once a minute all wait for a second."""
    found, free_us = list[int](), 0
    for time_us in times_us:
        if dice.random() < INTERVAL_US / (60 * US):
            free_us = time_us + US
        free_us = max(free_us, time_us + dice.randrange(200_000))
        found.append(free_us)
    return found


def read_on_the_beat(arrived_us: Sequence[int]) -> list[int]:
    """When they seem to arrive: for 3 s when they do, then one in each second, and the others on the beat."""
    seen, exact = list[int](), True
    for time_us in arrived_us:
        begins = not seen or time_us - arrived_us[0] < 3 * US
        beat_us = -(-time_us // BEAT_US) * BEAT_US
        exact = begins or (beat_us > seen[-1] and beat_us // BEAT_US % 2 == 0)
        seen.append(time_us if exact else beat_us)
    return list(itertools.accumulate(seen, max))


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_over_a_jittery_network_distances_are_right_to_1_ms_and_no_picture_is_100_ms_late(ppm: int) -> None:
    """Half an hour, with a camera whose clock drifts."""
    dice = random.Random(ppm)
    times = [START_US + n * INTERVAL_US for n in range(25 * 1800)]
    seen = read_on_the_beat(arrivals_over_a_bad_network(times, dice))
    delays = [seen_us - time_us for seen_us, time_us in zip(seen, times, strict=True)]
    off = dated(times, delays, [(t - START_US) * (US + ppm) // US for t in times])[25 * 5 :]
    assert min(off) >= 0 and max(off) < 100_000
    assert statistics.median(off) < 50_000
    assert max(abs(later - earlier) for earlier, later in itertools.pairwise(off)) < 1000


def test_a_much_better_estimate_is_followed_as_fast_as_pictures_keep_their_order() -> None:
    times = [START_US + n * INTERVAL_US for n in range(300)]
    delays = [400_000] * 150 + [10_000] + [400_000] * 149
    off = dated(times, delays, [t - START_US for t in times])
    assert off[149] == 400_000 and off[165] < 11_000


def test_a_better_estimate_is_followed_without_a_jump() -> None:
    times = [START_US + n * INTERVAL_US for n in range(300)]
    delays = [40_000] * 150 + [10_000] * 150
    off = dated(times, delays, [t - START_US for t in times])
    steps = [earlier - later for earlier, later in itertools.pairwise(off)]
    assert off[149] == 40_000 and off[-1] == 40_000 - 149 * INTERVAL_US * 5000 // US - INTERVAL_US * 5000 // US
    assert set(steps) == {0, INTERVAL_US * 5000 // US}
