from __future__ import annotations

import time
from dataclasses import dataclass

from videostore.base.clock import CLOCK_STEP_US, SteadyClock, SystemClock

US = 1_000_000


@dataclass
class SetClock:
    """A clock that a test sets."""

    wall: int = 1_725_000_000 * US
    monotonic: int = 5 * US

    def wall_us(self) -> int:
        return self.wall

    def monotonic_us(self) -> int:
        return self.monotonic

    def advance(self, us: int, *, slewed_us: int = 0) -> None:
        """Let some time pass; the wall clock gains `slewed_us` meanwhile."""
        self.monotonic += us
        self.wall += us + slewed_us


def test_the_system_clock_is_utc_and_its_monotonic_time_does_not_run_backwards() -> None:
    clock = SystemClock()
    before, wall, after = time.time_ns() // 1000, clock.wall_us(), time.time_ns() // 1000
    assert before - US < wall < after + US
    times = [clock.monotonic_us() for _ in range(100)]
    assert times == sorted(times)


def test_a_steady_clock_shows_utc_and_runs_with_the_monotonic_clock() -> None:
    clock = SetClock()
    steady = SteadyClock(clock)
    assert steady.now_us() == clock.wall
    clock.advance(7)
    assert steady.now_us() == clock.wall


def test_a_steady_clock_ignores_that_the_wall_clock_is_slewed() -> None:
    clock = SetClock()
    steady = SteadyClock(clock)
    begin_us = steady.now_us()
    clock.advance(60 * US, slewed_us=CLOCK_STEP_US)
    assert steady.now_us() - begin_us == 60 * US
    clock.advance(60 * US, slewed_us=-2 * CLOCK_STEP_US)
    assert steady.now_us() - begin_us == 120 * US
    assert steady.steps == 0


def test_a_steady_clock_follows_a_step_of_the_wall_clock_in_either_direction_and_counts_it() -> None:
    clock = SetClock()
    steady = SteadyClock(clock)
    for steps, step_us in enumerate((CLOCK_STEP_US + 1, -3600 * US), start=1):
        clock.advance(US, slewed_us=step_us)
        assert steady.now_us() == clock.wall
        assert steady.steps == steps
    assert steady.now_us() == clock.wall and steady.steps == 2
