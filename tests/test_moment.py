from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recording import US
from videostore.errors import TimestampError
from videostore.moment import moment_us

NOW_US = 1_795_365_560_250_000
"""2026-11-22T16:39:20.250Z, 11:39:20.250 in New York."""


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(moment: Any, after_us: int | None = None) -> int:
    return moment_us(moment, "from", now_us=NOW_US, after_us=after_us)


@pytest.mark.parametrize(
    ("text", "expected_us"),
    [
        ("now", NOW_US),
        (" Now ", NOW_US),
        ("-5m", NOW_US - 300 * US),
        ("-90s", NOW_US - 90 * US),
        ("-90", NOW_US - 90 * US),
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


def test_the_end_may_be_given_by_its_distance_from_the_beginning() -> None:
    assert read("+30s", after_us=NOW_US - 60 * US) == NOW_US - 30 * US
    assert read("+2m", after_us=0) == 120 * US


def test_numbers_are_microseconds_and_datetimes_are_taken_as_they_are() -> None:
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
        ("yesterday", "no moment"),
        ("", "no moment"),
        ("2026-13-22T16:39:20Z", "no moment"),
        ("2026", "no moment"),
        ("2026-11", "no moment"),
        ("2026-11-22T16:39:20Zz", "no moment"),
        ("25:00", "no moment"),
        ("-5 parsecs", "a length such as -90s"),
        ("--5m", "no moment"),
        ("+5m", "future"),
        ("2026-11-22_16-99-20Z", "parsing time"),
    ],
)
def test_what_is_no_moment_is_refused_with_the_field_the_value_and_the_forms(moment: Any, words: str) -> None:
    with pytest.raises(TimestampError, match=words) as refusal:
        read(moment)
    assert "from" in str(refusal.value)


@given(st.text(max_size=40) | st.from_regex(r"[-+]?\d{1,30}[a-z:. ]{0,3}\d*", fullmatch=True))
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
