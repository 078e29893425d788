"""What a camera says of its images' times, at 10 images a second, and which times these get."""

from __future__ import annotations

import logging

import pytest

from tests.support.recording import LOGGER, START_US, US
from videostore.viam.capture_dates import CAPTURED_AHEAD_US, CAPTURED_AT_DISTRUST_S, CaptureDates

DISTRUSTED = round(CAPTURED_AT_DISTRUST_S * 10)
LATE_US = 40_000


def dated(says_us: list[int]) -> list[int]:
    """How much before its arrival each image is dated. `says_us`: how old each is by its camera."""
    dates = CaptureDates("cam", LOGGER)
    arrivals = range(START_US, START_US + len(says_us) * US // 10, US // 10)
    return [at - dates.date(at - says, at) for at, says in zip(arrivals, says_us, strict=True)]


def test_what_can_be_right_is_believed_up_to_its_bounds() -> None:
    assert [dated([age])[0] for age in (5 * US, 5 * US + 1)] == [5 * US, 0]
    assert [dated([-ahead])[0] for ahead in (CAPTURED_AHEAD_US, CAPTURED_AHEAD_US + 1)] == [-CAPTURED_AHEAD_US, 0]


def test_one_wrong_time_is_paid_for_with_a_minute_of_arrival_times(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    found = dated([LATE_US, 3600 * US, *[LATE_US] * (DISTRUSTED + 5)])
    assert found[0] == LATE_US and set(found[1 : DISTRUSTED + 1]) == {0} and set(found[-5:]) == {LATE_US}
    assert caplog.text.count("using arrival times") == 1


def test_after_the_machines_clock_was_stepped_times_are_not_compared_with_those_before() -> None:
    dates = CaptureDates("cam", LOGGER)
    dates.date(START_US, START_US)
    dates.forget()
    assert dates.date(START_US - 3600 * US, START_US - 3600 * US) == START_US - 3600 * US
