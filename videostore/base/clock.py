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


_READ_WITHIN_US = 1_000
_READINGS = 20
"""A machine that is busy may stop a thread between two readings of clocks. Then they are read again, so often at most.
"""


class SteadyClock:
    """UTC that runs with the monotonic clock, and follows the wall clock only when that is stepped.

    Images that are dated by it keep their distances while the wall clock is slewed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first_offset_us = self._offset_us = self._read_offset()
        self.steps = 0
        """Number of steps of the wall clock so far."""

    @property
    def stepped_us(self) -> int:
        """The sum of these steps: how much later it is than it would be without them."""
        return self._offset_us - self._first_offset_us

    def now_us(self) -> int:
        """The current time. If the wall clock is further off than slewing explains, it was stepped: follow it."""
        before_us = self._clock.monotonic_us()
        wall_us = self._clock.wall_us()
        after_us = self._clock.monotonic_us()
        # The wall clock was read between the other two readings, which a busy machine may pull apart.
        if not wall_us - after_us - CLOCK_STEP_US <= self._offset_us <= wall_us - before_us + CLOCK_STEP_US:
            self._offset_us = self._read_offset()
            self.steps += 1
        return before_us + self._offset_us

    def _read_offset(self) -> int:
        """How far the wall clock is ahead of the monotonic clock, by the quickest of some readings."""
        quickest_us, offset_us = None, 0
        for _ in range(_READINGS):
            before_us = self._clock.monotonic_us()
            wall_us = self._clock.wall_us()
            took_us = self._clock.monotonic_us() - before_us
            if quickest_us is None or took_us < quickest_us:
                quickest_us, offset_us = took_us, wall_us - before_us
            if took_us < _READ_WITHIN_US:
                break
        return offset_us
