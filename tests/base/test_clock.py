from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

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
        assert steady.stepped_us == (CLOCK_STEP_US + 1 if steps == 1 else CLOCK_STEP_US + 1 - 3600 * US)
    assert steady.now_us() == clock.wall and steady.steps == 2


@dataclass
class BusyClock(SetClock):
    """The clock of a machine that stops this thread between two readings."""

    stalls_us: int = 0
    """How long it is stopped at the next reading of the wall clock."""
    after: bool = False
    """Whether that comes after the reading, and not before it."""

    def wall_us(self) -> int:
        stalled_us, self.stalls_us = self.stalls_us, 0
        before_us = self.wall
        self.advance(stalled_us)
        return before_us if self.after else self.wall


@pytest.mark.parametrize("after", [False, True])
def test_a_stall_between_two_readings_is_no_step_of_the_clock(after: bool) -> None:
    clock = BusyClock(after=after)
    steady = SteadyClock(clock)
    for _ in range(3):
        clock.stalls_us = 579_000
        steady.now_us()
        assert steady.now_us() == clock.wall and steady.steps == 0


def test_a_stall_while_a_step_is_measured_does_not_go_into_the_time() -> None:
    clock = BusyClock()
    steady = SteadyClock(clock)
    clock.wall += 3600 * US
    clock.stalls_us = 579_000
    steady.now_us()
    assert steady.now_us() == clock.wall and (steady.steps, steady.stepped_us) == (1, 3600 * US)


def test_a_stall_at_the_start_does_not_go_into_the_time() -> None:
    clock = BusyClock(stalls_us=579_000)
    steady = SteadyClock(clock)
    assert steady.now_us() == clock.wall and steady.steps == 0
