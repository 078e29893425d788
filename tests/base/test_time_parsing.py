from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import US
from tests.support.zones import NEW_YORK
from videostore.base.errors import TimestampError
from videostore.base.time_parsing import length_s, moment_us
from videostore.base.timestamps import EARLIEST_US, LATEST_US

NOW_US = 1_795_365_560_250_000
"""2026-11-22T16:39:20.250Z, 11:39:20.250 in New York."""


@pytest.fixture
def new_york(set_zone: Callable[[str], None]) -> None:
    set_zone(NEW_YORK)


def read(moment: Any, after_us: int | None = None) -> int:
    return moment_us(moment, "from", now_us=NOW_US, after_us=after_us)


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [
        ("now", NOW_US),
        (" Now ", NOW_US),
        ("-5m", NOW_US - 300 * US),
        ("-90s", NOW_US - 90 * US),
        ("-1.1s", NOW_US - 1_100_000),
        ("-.5h", NOW_US - 1800 * US),
        ("- 1 min 30 s", NOW_US - 90 * US),
        ("-1w2d", NOW_US - 777_600 * US),
        ("-1h30m", NOW_US - 5400 * US),
        ("-2d", NOW_US - 172_800 * US),
        ("-1.5s", NOW_US - 1_500_000),
        ("2026-11-22T16:39:20.25Z", NOW_US),
        ("2026-11-22t16:39:20.250000z", NOW_US),
        ("2026-11-22T17:39:20.250+01:00", NOW_US),
        ("2026-11-22 11:39:20.25", NOW_US),
        ("2026-11-22T11:39", NOW_US - 20_250_000),
        ("2026-11-22_16-39-20.250Z", NOW_US),
        ("2026-11-22_11-39-20.250", NOW_US),
        ("11:39:20.25", NOW_US),
        ("11:39", NOW_US - 20_250_000),
        ("11:40", NOW_US - 20_250_000 + 60 * US - 86_400 * US),
        ("2026-11-22", NOW_US - (11 * 3600 + 39 * 60 + 20) * US - 250_000),
        ("2026-11-01T01:30:00", 1_793_511_000 * US),  # occurs twice: the first, in daylight saving time
    ],
)
@pytest.mark.usefixtures("new_york")
def test_every_form_is_read(text: str, expected_us: int) -> None:
    assert read(text) == expected_us


BEYOND: tuple[Any, ...] = (
    *(10**30, -(10**30), -(10**17)),
    *(datetime(1, 1, 1, tzinfo=timezone.utc), datetime(9999, 12, 31)),
    *("0000-01-01", "0001-01-01", "0001-01-02T23:59:59Z", "0001-01-01T00:00+14:00"),
    *("9999-12-30T00:00:00Z", "9999-12-31", "9999-12-31T23:59:59.999999999Z", "9999-12-31T24:00", "9999-12-31T24:00Z"),
    *("0000-06-15_00-00-00", "0001-01-01_00-00-00", "0001-01-01_00-00-00Z", "9999-12-31_23-59-59Z"),
)
"""Times before and behind the calendar that can be asked for, in each form."""


def test_the_whole_calendar_but_two_days_at_each_end_can_be_asked_for() -> None:
    assert read("0001-01-03T00:00:00Z") == read("0001-01-03_00-00-00Z") == EARLIEST_US
    assert read("9999-12-29T23:59:59.999999Z") == read("9999-12-29_23-59-59.999999Z") == LATEST_US


def test_the_end_can_be_relative_to_the_beginning() -> None:
    assert read("+30s", after_us=NOW_US - 60 * US) == NOW_US - 30 * US
    assert read("+2m", after_us=0) == 120 * US


@pytest.mark.usefixtures("new_york")
def test_a_time_of_day_as_the_end_is_the_first_one_after_the_beginning() -> None:
    begin_us = read("2026-11-01 23:50:00")
    assert read("23:55", after_us=begin_us) == begin_us + 300 * US
    assert read("00:10", after_us=begin_us) == begin_us + 1200 * US
    assert read("23:50", after_us=begin_us) == begin_us + 86_400 * US
    assert read("11:40", after_us=read("11:39")) > NOW_US  # in the future, which is refused later


def test_a_number_is_microseconds_and_a_datetime_has_its_own_zone() -> None:
    assert read(NOW_US) == NOW_US
    assert read(datetime(2026, 11, 22, 16, 39, 20, 250_000, tzinfo=timezone.utc)) == NOW_US
    assert read(datetime(2026, 11, 22, 17, 39, 20, 250_000, tzinfo=timezone(timedelta(hours=1)))) == NOW_US


@pytest.mark.usefixtures("new_york")
def test_a_datetime_without_a_zone_is_local() -> None:
    assert read(datetime(2026, 11, 22, 11, 39, 20, 250_000)) == NOW_US


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (1795365560.25, "whole microseconds"),
        (True, "whole microseconds"),
        (None, "whole microseconds"),
        ("yesterday", "is not a valid time"),
        ("", "is not a valid time"),
        ("2026-13-22T16:39:20Z", "is not a valid time"),
        ("2026", "is not a valid time"),
        ("2026-11", "is not a valid time"),
        ("2026-11-22T16:39:20Zz", "is not a valid time"),
        ("25:00", "is not a valid time"),
        ("-5 parsecs", "a length such as -90s"),
        ("-90", "with the units w, d, h, m and s"),
        ("-1:30", "with the units"),
        ("-1:30:00", "with the units"),
        ("-1mo", "with the units"),
        ("-5M", "with the units"),
        ("-1y", "with the units"),
        ("-1h30", "with the units"),
        ("-999999999999d", "'-999999999999d', which is outside the times that can be recorded"),
        ("-" + "9" * 20 + "h", "which is outside the times that can be recorded"),
        ("-99999999d", "'-99999999d', which is outside the times that can be recorded"),
        ("-" + "9" * 5000 + "d", "with the units"),
        ("٢٠٢٦-11-22", "is not a valid time"),
        *((one, "outside the times .* 0001-01-03 to 9999-12-29") for one in BEYOND),
        ("2026-02-30", "is not a valid time"),
        ("0000-13-01x", "is not a valid time"),
        ("--5m", "is not a valid time"),
        ("+5m", "future"),
        ("2026-11-22_16-99-20Z", "parsing time"),
    ],
)
def test_an_invalid_time_is_refused_with_the_field_and_what_is_expected(moment: Any, words: str) -> None:
    with pytest.raises(TimestampError, match=words) as refusal:
        read(moment)
    assert "from" in str(refusal.value)


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("moment", ["2026-03-08 02:30:00", "2026-03-08T02:30", datetime(2026, 3, 8, 2, 30)])
def test_a_local_time_that_clocks_skipped_is_refused(moment: Any) -> None:
    with pytest.raises(TimestampError, match="did not exist here: clocks skipped it") as refusal:
        read(moment)
    assert "Use 2026-03-08 01:30:00 or 2026-03-08 03:30:00, or add a UTC offset." in str(refusal.value)
    assert read("2026-03-08T02:30:00-05:00") == read("2026-03-08 03:30:00")
    with pytest.raises(TimestampError, match="Use 2026-03-08_01-30-00 or 2026-03-08_03-30-00, or UTC") as refusal:
        read("2026-03-08_02-30-00")
    assert refusal.value.code == "timestamp-skipped"


@pytest.mark.usefixtures("new_york")
def test_a_time_of_day_is_the_last_one_also_in_a_night_when_clocks_change() -> None:
    def of_day(text: str, now: str) -> str:
        found_us = moment_us(text, "from", now_us=moment_us(now, "now", now_us=0))
        return datetime.fromtimestamp(found_us / US, timezone.utc).isoformat()

    # Autumn: 01:30 is at 05:30Z, and again at 06:30Z.
    assert of_day("01:30", "2026-11-01T12:00:00Z") == "2026-11-01T06:30:00+00:00"
    assert of_day("01:30", "2026-11-01T06:10:00Z") == "2026-11-01T05:30:00+00:00"
    assert of_day("01:30", "2026-11-01T05:10:00Z") == "2026-10-31T05:30:00+00:00"
    # Spring: 02:30 is skipped.
    assert of_day("02:30", "2026-03-08T06:00:00Z") == "2026-03-07T07:30:00+00:00"
    for now in ("2026-03-08T14:00:00Z", "2026-03-09T05:00:00Z"):
        with pytest.raises(TimestampError, match="did not exist here: clocks skipped it"):
            of_day("02:30", now)


def test_a_relative_time_beyond_the_calendar_is_refused() -> None:
    for text in ("+99999999d", "+99999999w"):
        with pytest.raises(TimestampError, match="outside the times that can be recorded"):
            read(text, after_us=NOW_US)


@given(st.text(max_size=40) | st.from_regex(r"[-+]?\d{1,30}[wdhms:. ]{0,3}\d*", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    for after_us in (None, NOW_US):
        try:
            assert isinstance(read(text, after_us), int)
        except TimestampError as error:
            assert len(str(error)) < 600


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)))
def test_rfc_3339_round_trips_to_the_microsecond(moment: datetime) -> None:
    aware = moment.replace(tzinfo=timezone.utc)
    assert (
        read(aware.isoformat())
        == read(aware)
        == (aware - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("1.5 h", 5400.0),
        ("2d", 172_800.0),
        ("9" * 20 + "d", math.inf),
        ("5m5m", None),
        ("90", None),
        ("1:30", None),
        ("", None),
    ],
)
def test_a_length_needs_a_unit_for_every_number(text: str, expected: float | None) -> None:
    assert length_s(text) == expected


@pytest.mark.parametrize(
    ("moment", "code", "fields"),
    [
        (1.5, "time-type", {"value": 1.5}),
        ("soon", "time-form", {"value": "soon"}),
        ("-5 parsecs", "length-form", {"value": "-5 parsecs", "sign": "-"}),
        ("+5m", "start-in-future", {"value": "+5m"}),
        (10**30, "time-beyond", {"value": 10**30}),
        ("0001-01-01_00-00-00", "timestamp-beyond", {"value": "0001-01-01_00-00-00"}),
        ("2026-11-22_16-99-20Z", "timestamp-no-date", {"value": "2026-11-22_16-99-20Z"}),
    ],
)
def test_a_refusal_has_a_code_and_fields(moment: Any, code: str, fields: dict[str, Any]) -> None:
    with pytest.raises(TimestampError) as refusal:
        read(moment)
    error = refusal.value
    assert (error.code, error.field) == (code, "from")
    assert fields.items() <= error.fields.items()
