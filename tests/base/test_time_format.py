from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.zones import KOLKATA, UTC, in_zone
from videostore.base.time_format import (
    format_iso,
    format_local,
    format_position,
    format_seconds,
    format_utc,
    format_utc_exact,
    format_utc_microseconds,
)
from videostore.base.timestamps import EARLIEST_US, LATEST_US, parse_timestamp

SECOND = 1_000_000

SetZone = Callable[[str], None]


def us(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()) * SECOND


@given(st.integers(EARLIEST_US, LATEST_US))
def test_what_is_written_in_utc_can_be_read_with_the_precision_of_the_form(moment: int) -> None:
    assert parse_timestamp(format_utc(moment), "from") == moment // SECOND * SECOND
    assert parse_timestamp(format_utc_exact(moment), "from") == moment // 1000 * 1000
    assert parse_timestamp(format_utc_microseconds(moment), "from") == moment


def test_times_are_rounded_down() -> None:
    moment = us(2024, 12, 31, 23, 59, 59) + 999_999
    assert format_utc(moment) == "2024-12-31_23-59-59Z"
    assert format_utc_exact(moment) == "2024-12-31_23-59-59.999Z"
    assert format_utc_microseconds(moment) == "2024-12-31_23-59-59.999999Z"
    assert format_utc_exact(us(2024, 1, 15, 14, 30, 45)) == "2024-01-15_14-30-45.000Z"
    assert format_utc(-1) == "1969-12-31_23-59-59Z"


def test_local_times_are_rounded_down_too(set_zone: SetZone) -> None:
    set_zone(KOLKATA)
    assert format_local(us(2024, 12, 31, 18, 29, 59) + 999_999) == "2024-12-31_23-59-59"
    assert format_local(us(1969, 12, 31, 18, 30) - 1) == "1969-12-31_23-59-59"


def test_years_always_have_four_digits(set_zone: SetZone) -> None:
    set_zone(UTC)
    moment = us(476, 9, 4)
    assert format_utc(moment) == "0476-09-04_00-00-00Z"
    assert format_utc_exact(moment) == "0476-09-04_00-00-00.000Z"
    assert format_local(moment) == "0476-09-04_00-00-00"


@pytest.mark.parametrize(
    ("length_us", "expected"),
    [(0, "0.000000"), (1, "0.000001"), (-1, "-0.000001"), (90 * SECOND + 500, "90.000500"), (-1_500_000, "-1.500000")],
)
def test_seconds_have_six_decimals(length_us: int, expected: str) -> None:
    assert format_seconds(length_us) == expected


@given(st.integers(-(10**17), 10**17))
def test_seconds_are_exact_to_the_microsecond_at_any_size(length_us: int) -> None:
    seconds, decimals = format_seconds(length_us).split(".")
    assert len(decimals) == 6 and int(seconds + decimals) == length_us


@given(st.integers(EARLIEST_US, LATEST_US), st.sampled_from([UTC, KOLKATA, "<+14>-14", "<-12>12"]))
def test_every_time_between_the_earliest_and_the_latest_can_be_written_in_every_zone(moment: int, zone: str) -> None:
    with in_zone(zone):
        assert len(format_local(moment)) == len("YYYY-MM-DD_HH-MM-SS")


def test_positions_have_hours_and_microseconds() -> None:
    assert [format_position(us) for us in (0, 62_500_000, 100 * 3600 * SECOND + 1)] == [
        "0:00:00.000000",
        "0:01:02.500000",
        "100:00:00.000001",
    ]


def test_the_form_of_rfc_3339_has_all_microseconds() -> None:
    assert format_iso(us(2026, 11, 22, 16, 39, 20) + 7) == "2026-11-22T16:39:20.000007Z"
    assert format_iso(us(2026, 11, 22)) == "2026-11-22T00:00:00.000000Z"
