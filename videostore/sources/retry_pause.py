"""The pauses between attempts to open a stream: longer each time, and never the same for two recorders."""

from __future__ import annotations

import random

from videostore.base.clock import Clock
from videostore.base.constants import FFMPEG_BACKOFF_S, US_PER_SECOND

_JITTER = 0.5
"""The largest part of a pause that is left out at random: a camera with several recorders, or a server with many
cameras, that comes back must not be asked by all of them at once."""
HEALTHY_S = 10.0
"""A stream that lasted this long was no failure: the next pause is the first again."""


class RetryPause:
    """How long to wait before the next attempt."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._longest_s = 0.0
        self._since_us: int | None = None

    def frame(self) -> None:
        """A frame has come."""
        now_us = self._clock.monotonic_us()
        if self._since_us is None:
            self._since_us = now_us
        elif now_us - self._since_us > HEALTHY_S * US_PER_SECOND:
            self._longest_s = 0.0

    def next_s(self) -> float:
        """An attempt has failed, or a stream has ended: the pause in seconds."""
        first_s, longest_s = FFMPEG_BACKOFF_S
        self._since_us = None
        self._longest_s = min(longest_s, 2 * self._longest_s or first_s)
        return self._longest_s * (1 - _JITTER * random.random())
