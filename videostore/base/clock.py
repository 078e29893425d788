"""The clock, as a parameter of everything that needs the time, so that a test can step it."""

from __future__ import annotations

import time
from typing import Protocol

CLOCK_STEP_US = 100_000
"""Slewing moves the wall clock against the monotonic clock by at most 0.5 ms per second; a larger change is a step."""


class Clock(Protocol):
    """Tells the time, in microseconds."""

    def wall_us(self) -> int:
        """UTC since the Unix epoch. Can be stepped in either direction."""

    def monotonic_us(self) -> int:
        """Time since an arbitrary point. Never steps."""


class SystemClock:
    """The machine's clocks."""

    def wall_us(self) -> int:
        """UTC since the Unix epoch, from the system's real-time clock."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Time since an arbitrary point, from the system's monotonic clock."""
        return time.monotonic_ns() // 1000


class SteadyClock:
    """UTC that runs with the monotonic clock, and follows the wall clock only when that is stepped.

    Images that are dated by it keep their distances while the wall clock is slewed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_us = clock.wall_us() - clock.monotonic_us()
        self.steps = 0
        """Number of steps of the wall clock so far."""

    def now_us(self) -> int:
        """The current time. If the wall clock is further off than slewing explains, it was stepped: follow it."""
        monotonic_us = self._clock.monotonic_us()
        offset_us = self._clock.wall_us() - monotonic_us
        if abs(offset_us - self._offset_us) > CLOCK_STEP_US:
            self._offset_us = offset_us
            self.steps += 1
        return monotonic_us + self._offset_us
