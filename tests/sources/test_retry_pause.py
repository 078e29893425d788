from __future__ import annotations

from dataclasses import dataclass

from tests.support.recording import US
from videostore.base.constants import FFMPEG_BACKOFF_S
from videostore.sources.retry_pause import HEALTHY_S, RetryPause

FIRST_S, LONGEST_S = FFMPEG_BACKOFF_S


@dataclass
class Hands:
    """A clock that is moved by hand."""

    time_us: int = 0

    def wall_us(self) -> int:
        return self.time_us

    def monotonic_us(self) -> int:
        return self.time_us


def test_pauses_grow_to_the_longest_and_are_never_longer() -> None:
    pause = RetryPause(Hands())
    found = [pause.next_s() for _ in range(200)]
    assert FIRST_S / 2 <= found[0] <= FIRST_S and FIRST_S <= found[1] <= 2 * FIRST_S
    assert all(LONGEST_S / 2 <= one <= LONGEST_S for one in found[20:])
    assert len(set(found[20:])) > 100  # each at random


def test_only_a_stream_that_lasted_brings_back_the_first_pause() -> None:
    clock = Hands()
    pause = RetryPause(clock)
    for _ in range(20):
        pause.next_s()
        pause.frame()  # it comes, and goes at once
    assert pause.next_s() >= LONGEST_S / 2
    for second in range(int(HEALTHY_S) + 3):
        clock.time_us = second * US
        pause.frame()
    assert pause.next_s() <= FIRST_S
