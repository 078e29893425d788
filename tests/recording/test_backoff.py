from __future__ import annotations

from tests.support.recording import US, FixedClock
from videostore.base.constants import FFMPEG_BACKOFF_S
from videostore.recording.backoff import HEALTHY_S, Backoff

FIRST_S, LONGEST_S = FFMPEG_BACKOFF_S


def test_the_first_attempt_is_due_at_once() -> None:
    assert Backoff(FixedClock()).left_s <= 0


async def test_each_pause_is_twice_as_long_up_to_a_limit_until_a_run_is_healthy() -> None:
    clock = FixedClock()
    backoff = Backoff(clock)
    for expected_s in (FIRST_S, 2 * FIRST_S, 4 * FIRST_S):
        backoff.lengthen()
        assert backoff.left_s == expected_s == backoff.pause_s
        clock.advance(expected_s)
        assert backoff.left_s <= 0
        await backoff.wait()
    for _ in range(20):
        backoff.lengthen()
    assert backoff.pause_s == LONGEST_S
    backoff.healthy_for(round(HEALTHY_S * US))
    assert backoff.pause_s == LONGEST_S
    backoff.healthy_for(round(HEALTHY_S * US) + 1)
    backoff.lengthen()
    assert backoff.pause_s == FIRST_S
