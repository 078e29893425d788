"""A beat that the whole process keeps: what is done now and then is done at the same moments.

A process that wakes up has to load its code and data into the processor's caches again, which costs more than most of
what it does then: what is done together costs little more than one piece of it.
"""

from __future__ import annotations

import time

BEAT_S = 0.5
"""Others last a multiple of it, or half of it."""


def until_beat(every_s: float = BEAT_S, after_s: float = 0.0) -> float:
    """Seconds until the next beat of this length, at most that long and never 0: beats are moments of `monotonic`.

    With `after_s`, until so long after a beat.
    """
    return every_s - (time.monotonic() - after_s) % every_s
