from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostore.base.errors import TimestampError
from videostore.base.time_format import format_local, format_utc, format_utc_exact
from videostore.base.timestamps import parse_timestamp

SECOND = 1_000_000
HOUR = 3600 * SECOND

# Rules as POSIX writes them, so that no time zone database is needed. A minus means east of Greenwich.
NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
KOLKATA = "IST-5:30"
APIA = "<+13>-13"
UTC = "UTC0"

SetZone = Callable[[str], None]


@pytest.fixture
def set_zone() -> Iterator[SetZone]:
    """Sets the time zone of the process, and restores it in the end."""
    with pytest.MonkeyPatch.context() as patch:

        def set_to(rule: str) -> None:
            patch.setenv("TZ", rule)
            time.tzset()

        yield set_to
    time.tzset()


def us(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()) * SECOND


@pytest.mark.parametrize("zone", [UTC, NEW_YORK, BERLIN, KOLKATA, APIA])
def test_a_timestamp_with_z_means_utc_wherever_the_machine_stands(set_zone: SetZone, zone: str) -> None:
    set_zone(zone)
    assert parse_timestamp("2024-09-06_15-00-33Z", "from") == us(2024, 9, 6, 15, 0, 33)


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        (UTC, "2024-09-06_15-00-33", us(2024, 9, 6, 15, 0, 33)),
        (NEW_YORK, "2024-09-06_15-00-33", us(2024, 9, 6, 19, 0, 33)),
        (NEW_YORK, "2024-01-15_14-30-45", us(2024, 1, 15, 19, 30, 45)),
        (BERLIN, "2024-09-06_15-00-33", us(2024, 9, 6, 13, 0, 33)),
        (BERLIN, "2024-01-01_00-30-00", us(2023, 12, 31, 23, 30)),
        (KOLKATA, "2024-09-06_15-00-33", us(2024, 9, 6, 9, 30, 33)),
        (APIA, "2024-02-29_12-00-00", us(2024, 2, 28, 23, 0, 0)),
    ],
)
def test_a_timestamp_without_z_means_the_time_on_the_machines_wall(
    set_zone: SetZone, zone: str, text: str, expected: int
) -> None:
    set_zone(zone)
    assert parse_timestamp(text, "from") == expected
    assert format_local(expected) == text


@pytest.mark.parametrize(
    ("zone", "text", "first"),
    [
        (NEW_YORK, "2024-11-03_01-30-00", us(2024, 11, 3, 5, 30)),
        (BERLIN, "2024-10-27_02-30-00", us(2024, 10, 27, 0, 30)),
    ],
)
def test_of_an_hour_that_occurs_twice_the_first_is_meant(set_zone: SetZone, zone: str, text: str, first: int) -> None:
    set_zone(zone)
    assert parse_timestamp(text, "from") == first
    assert format_local(first) == format_local(first + HOUR) == text


@pytest.mark.parametrize(
    ("zone", "text", "expected", "on_the_wall"),
    [
        (NEW_YORK, "2024-03-10_02-30-00", us(2024, 3, 10, 7, 30), "2024-03-10_03-30-00"),
        (BERLIN, "2024-03-31_02-30-00", us(2024, 3, 31, 1, 30), "2024-03-31_03-30-00"),
    ],
)
def test_an_hour_that_is_left_out_is_read_with_the_offset_from_before(
    set_zone: SetZone, zone: str, text: str, expected: int, on_the_wall: str
) -> None:
    set_zone(zone)
    assert parse_timestamp(text, "from") == expected
    assert format_local(expected) == on_the_wall


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (".2", 200_000),
        (".25", 250_000),
        (".250", 250_000),
        (".000001", 1),
        (".999999", 999_999),
        (".9999999", 999_999),
        (".123456789", 123_456),
        (".000000999", 0),
    ],
)
@pytest.mark.parametrize("suffix", ["", "Z"])
def test_a_fraction_of_a_second_counts_to_the_microsecond(
    set_zone: SetZone, fraction: str, expected: int, suffix: str
) -> None:
    set_zone(UTC)
    assert parse_timestamp(f"2024-01-15_14-30-45{fraction}{suffix}", "to") == us(2024, 1, 15, 14, 30, 45) + expected


def test_a_fraction_counts_forwards_before_1970_too() -> None:
    assert parse_timestamp("1969-12-31_23-59-59.250Z", "to") == -750_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "now",
        "2024-01-15T14:30:45Z",
        "2024-01-15 14-30-45",
        "2024-01-15_14-30-45z",
        "2024-01-15_14-30-45+01",
        "2024-01-15_14-30-45.Z",
        "2024-01-15_14-30-45.1234567890Z",
        "2024-01-15_14-30-45,5Z",
        "2024-01-15_14-30-45ZZ",
        "2024-01-15_14-30-45Z\n",
        " 2024-01-15_14-30-45Z",
        "2024-1-15_14-30-45Z",
        "24-01-15_14-30-45Z",
        "-024-01-15_14-30-45Z",
        "٢٠٢٤-01-15_14-30-45Z",
        "2024-01-15_14-30-45\0",
        "2024-00-15_14-30-45Z",
        "2024-13-15_14-30-45Z",
        "2024-02-30_14-30-45Z",
        "2023-02-29_14-30-45",
        "2024-01-15_24-00-00Z",
        "2024-01-15_14-60-45Z",
        "2024-01-15_14-30-60Z",
        "0000-01-01_00-00-00Z",
        "0000-01-01_00-00-00",
        "0001-01-01_00-00-00",
        "9999-12-31_23-59-59",
        "9999-12-31_23-59-59Z",
    ],
)
@pytest.mark.parametrize("zone", [UTC, NEW_YORK, APIA])
def test_what_is_no_timestamp_is_refused_with_the_field_the_value_and_both_forms(
    set_zone: SetZone, zone: str, text: str
) -> None:
    set_zone(zone)
    with pytest.raises(TimestampError) as refusal:
        parse_timestamp(text, "from")
    message = str(refusal.value)
    assert message.startswith('parsing time "from": ')
    assert repr(text) in message
    assert "YYYY-MM-DD_HH-MM-SS (local time)" in message
    assert "YYYY-MM-DD_HH-MM-SSZ (UTC)" in message


def test_a_missing_timestamp_is_said_to_be_missing() -> None:
    with pytest.raises(TimestampError, match=r'^parsing time "to": the field is missing.*YYYY-MM-DD_HH-MM-SSZ \(UTC\)'):
        parse_timestamp(None, "to")


@pytest.mark.parametrize("value", [1725634833, 1725634833.0, True, {"a": 1}, ["2024-01-15_14-30-45Z"], b"2024"])
def test_a_timestamp_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(TimestampError, match=r'^parsing time "from": .* does not have the form'):
        parse_timestamp(value, "from")


def test_a_number_that_python_will_not_write_out_is_refused_like_any_other() -> None:
    with pytest.raises(TimestampError, match="parsing time"):
        parse_timestamp(10**9999, "from")


@pytest.mark.parametrize("value", ["9" * 1_000_000, ["9" * 1_000_000], {"key": "x" * 1_000_000}], ids=type)
def test_a_refused_value_is_shortened_in_the_message(value: object) -> None:
    with pytest.raises(TimestampError) as refusal:
        parse_timestamp(value, "from")
    assert len(str(refusal.value)) < 200


@given(st.text(alphabet="0123456789-_.Z \n٣", max_size=40) | st.text() | st.none() | st.floats() | st.booleans())
def test_any_input_gives_a_time_or_a_timestamp_error(value: object) -> None:
    try:
        assert isinstance(parse_timestamp(value, "from"), int)
    except TimestampError as error:
        assert "parsing time" in str(error)


@given(
    st.integers(0, 9999),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 25),
    st.sampled_from([NEW_YORK, KOLKATA, APIA]),
    st.sampled_from(["", "Z"]),
)
def test_what_can_be_parsed_can_be_written(year: int, month: int, day: int, hour: int, zone: str, suffix: str) -> None:
    # The fixture would be shared by all examples.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        text = f"{year:04}-{month:02}-{day:02}_{hour:02}-59-59"
        try:
            moment = parse_timestamp(text + suffix, "from")
        except TimestampError:
            pass
        else:
            assert len(format_local(moment)) == len(text)
            assert parse_timestamp(format_utc(moment), "from") == moment
    time.tzset()


@given(st.integers(us(1, 1, 4), us(9999, 12, 28)))
def test_writing_in_utc_and_reading_again_loses_only_what_is_finer_than_the_form(moment: int) -> None:
    assert parse_timestamp(format_utc(moment), "from") == moment // SECOND * SECOND
    assert parse_timestamp(format_utc_exact(moment), "from") == moment // 1000 * 1000


def test_times_are_floored_never_rounded_up() -> None:
    moment = us(2024, 12, 31, 23, 59, 59) + 999_999
    assert format_utc(moment) == "2024-12-31_23-59-59Z"
    assert format_utc_exact(moment) == "2024-12-31_23-59-59.999Z"
    assert format_utc_exact(us(2024, 1, 15, 14, 30, 45)) == "2024-01-15_14-30-45.000Z"
    assert format_utc(-1) == "1969-12-31_23-59-59Z"


def test_the_local_form_is_floored_too(set_zone: SetZone) -> None:
    set_zone(KOLKATA)
    assert format_local(us(2024, 12, 31, 18, 29, 59) + 999_999) == "2024-12-31_23-59-59"
    assert format_local(us(1969, 12, 31, 18, 30) - 1) == "1969-12-31_23-59-59"


def test_years_always_have_four_digits(set_zone: SetZone) -> None:
    set_zone(UTC)
    moment = us(476, 9, 4)
    assert format_utc(moment) == "0476-09-04_00-00-00Z"
    assert format_utc_exact(moment) == "0476-09-04_00-00-00.000Z"
    assert format_local(moment) == "0476-09-04_00-00-00"
