"""The time: a parameter of everything that needs it, so that a test can step it."""

from __future__ import annotations

import time
from typing import Protocol

CLOCK_STEP_US = 100_000
"""Slewing moves the wall clock against the monotonic one by 0.5 ms a second at most; more at once is a step."""


class Clock(Protocol):
    """What time it is, in microseconds."""

    def wall_us(self) -> int:
        """UTC since the Unix epoch. May step in either direction."""

    def monotonic_us(self) -> int:
        """Since an arbitrary moment. Never steps."""


class SystemClock:
    """The machine's clocks."""

    def wall_us(self) -> int:
        """UTC since the Unix epoch, from the system's real-time clock."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Since an arbitrary moment, from the system's monotonic clock."""
        return time.monotonic_ns() // 1000


class SteadyClock:
    """UTC that runs with the monotonic clock, and follows the wall clock only in steps that are told.

    Pictures that are dated by it keep their distances whatever small corrections the wall clock gets.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_us = clock.wall_us() - clock.monotonic_us()
        self.steps = 0
        """How many steps of the wall clock were followed."""

    def now_us(self) -> int:
        """The time now. A wall clock that lies further off than slewing explains was stepped, and is followed."""
        monotonic_us = self._clock.monotonic_us()
        offset_us = self._clock.wall_us() - monotonic_us
        if abs(offset_us - self._offset_us) > CLOCK_STEP_US:
            self._offset_us = offset_us
            self.steps += 1
        return monotonic_us + self._offset_us
