from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.zones import APIA, BERLIN, KOLKATA, NEW_YORK, UTC, in_zone
from videostore.base.errors import TimestampError
from videostore.base.time_format import format_local, format_utc
from videostore.base.timestamps import parse_timestamp

SECOND = 1_000_000
HOUR = 3600 * SECOND

SetZone = Callable[[str], None]


def us(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()) * SECOND


@pytest.mark.parametrize("zone", [UTC, NEW_YORK, BERLIN, KOLKATA, APIA])
def test_a_timestamp_with_z_is_utc_in_every_time_zone(set_zone: SetZone, zone: str) -> None:
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
def test_a_timestamp_without_z_is_local_time(set_zone: SetZone, zone: str, text: str, expected: int) -> None:
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
def test_a_time_in_an_hour_that_occurs_twice_is_the_first_of_the_two(
    set_zone: SetZone, zone: str, text: str, first: int
) -> None:
    set_zone(zone)
    assert parse_timestamp(text, "from") == first
    assert format_local(first) == format_local(first + HOUR) == text


@pytest.mark.parametrize(
    ("zone", "text", "expected", "shown"),
    [
        (NEW_YORK, "2024-03-10_02-30-00", us(2024, 3, 10, 7, 30), "2024-03-10_03-30-00"),
        (BERLIN, "2024-03-31_02-30-00", us(2024, 3, 31, 1, 30), "2024-03-31_03-30-00"),
    ],
)
def test_a_time_in_an_hour_that_clocks_skip_is_refused_unless_it_names_a_file(
    set_zone: SetZone, zone: str, text: str, expected: int, shown: str
) -> None:
    set_zone(zone)
    with pytest.raises(
        TimestampError, match=r'parsing time "from": .* did not exist here: clocks skipped it'
    ) as refusal:
        parse_timestamp(f"{text}.5", "from")
    error = refusal.value
    assert (error.code, error.field, error.value) == ("timestamp-skipped", "from", f"{text}.5")
    assert error.fields["after"] == shown
    assert parse_timestamp(error.fields["before"], "from") + HOUR == parse_timestamp(shown, "from") == expected
    assert parse_timestamp(text, "from", shift_skipped=True) == expected
    assert format_local(expected) == shown
    assert parse_timestamp(text + "Z", "from") < expected + 24 * HOUR


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
def test_a_fraction_of_a_second_is_truncated_to_microseconds(
    set_zone: SetZone, fraction: str, expected: int, suffix: str
) -> None:
    set_zone(UTC)
    assert parse_timestamp(f"2024-01-15_14-30-45{fraction}{suffix}", "to") == us(2024, 1, 15, 14, 30, 45) + expected


def test_a_fraction_is_added_to_the_second_before_1970_as_well() -> None:
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
    ],
)
@pytest.mark.parametrize("zone", [UTC, NEW_YORK, APIA])
def test_an_invalid_timestamp_is_refused_with_the_field_the_value_and_both_forms(
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


@pytest.mark.parametrize(
    "text",
    [
        "0000-01-01_00-00-00Z",
        "0000-01-01_00-00-00",
        "0001-01-01_00-00-00",
        "9999-12-31_23-59-59",
        "9999-12-30_15-00-00Z",
    ],
)
@pytest.mark.parametrize("zone", [UTC, NEW_YORK, APIA])
def test_a_date_outside_the_calendar_is_refused_with_what_can_be_asked_for(
    set_zone: SetZone, zone: str, text: str
) -> None:
    set_zone(zone)
    with pytest.raises(TimestampError) as refusal:
        parse_timestamp(text, "from")
    assert str(refusal.value) == (
        f'parsing time "from": {text!r} is outside the times that can be recorded and asked for,'
        " 0001-01-03 to 9999-12-29 (UTC)."
    )


def test_a_missing_timestamp_is_refused_as_missing() -> None:
    with pytest.raises(TimestampError, match=r'^parsing time "to": the field is missing.*YYYY-MM-DD_HH-MM-SSZ \(UTC\)'):
        parse_timestamp(None, "to")


@pytest.mark.parametrize("value", [1725634833, 1725634833.0, True, {"a": 1}, ["2024-01-15_14-30-45Z"], b"2024"])
def test_a_timestamp_that_is_not_a_string_is_refused(value: object) -> None:
    with pytest.raises(TimestampError, match=r'^parsing time "from": .* does not have the form'):
        parse_timestamp(value, "from")


def test_a_number_that_python_cannot_convert_to_text_is_refused_like_any_other() -> None:
    with pytest.raises(TimestampError, match="parsing time"):
        parse_timestamp(10**9999, "from")


@pytest.mark.parametrize("value", ["9" * 1_000_000, ["9" * 1_000_000], {"key": "x" * 1_000_000}], ids=type)
def test_a_refused_value_is_shortened_in_the_sentence(value: object) -> None:
    with pytest.raises(TimestampError) as refusal:
        parse_timestamp(value, "from")
    assert len(str(refusal.value)) < 200


@given(st.text(alphabet="0123456789-_.Z \n٣", max_size=40) | st.text() | st.none() | st.floats() | st.booleans())
def test_any_input_is_read_or_refused(value: object) -> None:
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
def test_every_time_that_can_be_read_can_be_written(
    year: int, month: int, day: int, hour: int, zone: str, suffix: str
) -> None:
    text = f"{year:04}-{month:02}-{day:02}_{hour:02}-59-59"
    with in_zone(zone):  # a fixture would be shared by all examples
        try:
            moment = parse_timestamp(text + suffix, "from")
        except TimestampError:
            return
        assert len(format_local(moment)) == len(text)
        assert parse_timestamp(format_utc(moment), "from") == moment
