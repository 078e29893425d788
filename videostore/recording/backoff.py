"""The pauses between attempts to start an ffmpeg that failed: each is longer than the one before."""

from __future__ import annotations

import asyncio

from videostore.base.clock import Clock
from videostore.base.constants import FFMPEG_BACKOFF_S, US_PER_SECOND

HEALTHY_S = 10.0
"""A run that lasted this long was no failure: the next pause is the first again."""


class Backoff:
    """When the next attempt is due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_us = 0
        self.pause_s = 0.0
        """The last pause; 0 after a run that was healthy."""

    def lengthen(self) -> None:
        """An attempt has failed: a pause begins."""
        first_s, longest_s = FFMPEG_BACKOFF_S
        self.pause_s = min(longest_s, self.pause_s * 2 or first_s)
        self._until_us = self._clock.monotonic_us() + round(self.pause_s * US_PER_SECOND)

    @property
    def left_s(self) -> float:
        """How much of the pause is left; not positive when the next attempt is due."""
        return (self._until_us - self._clock.monotonic_us()) / US_PER_SECOND

    async def wait(self) -> None:
        """Wait until the next attempt is due."""
        await asyncio.sleep(self.left_s)

    def healthy_for(self, age_us: int) -> None:
        """A run has lasted for so long, and something has come out of it."""
        if age_us > HEALTHY_S * US_PER_SECOND:
            self.pause_s = 0.0
