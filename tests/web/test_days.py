"""Days of a calendar."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, US
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.store.store import VideoStore
from videostore.web.days import day_of, days_of, stored_by_day


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def us(*utc: int) -> int:
    return round(datetime(*utc, tzinfo=timezone.utc).timestamp()) * US  # type: ignore[misc,arg-type]


@pytest.mark.usefixtures("berlin")
def test_a_day_begins_at_midnight_of_the_recorder_whatever_its_length() -> None:
    days = dict(days_of(Range(us(2026, 10, 24, 12), us(2026, 10, 26, 12))))
    assert [day_of(one.from_us) for one in days.values()] == list(days)
    assert list(days) == ["2026-10-24", "2026-10-25", "2026-10-26"]
    assert days["2026-10-25"] == Range(us(2026, 10, 24, 22), us(2026, 10, 25, 23))  # 25 hours
    assert days["2026-10-26"].to_us - days["2026-10-26"].from_us == 24 * 3600 * US


@pytest.mark.usefixtures("berlin")
def test_a_day_of_utc_is_none_of_the_recorder() -> None:
    asked = Range(us(2026, 10, 24), us(2026, 10, 25, 23, 30))
    days = dict(days_of(asked, timezone.utc))
    assert days == {
        "2026-10-24": Range(us(2026, 10, 24), us(2026, 10, 25)),
        "2026-10-25": Range(us(2026, 10, 25), us(2026, 10, 26)),
    }
    late_us = us(2026, 10, 25, 23, 15)
    assert (day_of(late_us), day_of(late_us, timezone.utc)) == ("2026-10-26", "2026-10-25")


def test_a_day_whose_midnight_comes_twice_begins_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CST5CDT,M3.2.0/0,M11.1.0/1")  # as in Havana
        time.tzset()
        days = dict(days_of(Range(us(2026, 11, 1, 5, 30), us(2026, 11, 1, 6))))
    time.tzset()
    assert days == {"2026-11-01": Range(us(2026, 11, 1, 4), us(2026, 11, 2, 5))}


def test_a_calendar_has_a_bound() -> None:
    with pytest.raises(RequestError, match="at most 62 days"):
        list(days_of(Range(0, 63 * 86_400 * US)))


async def test_what_is_stored_counts_for_its_day(recording: Path) -> None:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        found = await stored_by_day(store._viewing, Range(START_US - 3 * 86_400 * US, START_US + 3 * 86_400 * US))
        assert found == {f"{datetime.fromtimestamp(START_US // US):%Y-%m-%d}": 7}
