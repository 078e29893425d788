"""Timestamps written and read back around changes of the clocks, in six time zones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.property_settings import examples
from tests.support.recording import US
from videostore.base.time_format import format_local, format_utc
from videostore.base.timestamps import parse_timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
)


CHANGES = {
    "America/New_York": ("2024-03-10_07-00-00Z", "2024-11-03_06-00-00Z"),
    "Europe/Berlin": ("2024-03-31_01-00-00Z", "2024-10-27_01-00-00Z"),
    "Australia/Lord_Howe": ("2024-10-05_15-30-00Z", "2024-04-06_15-00-00Z"),  # half an hour
    "Pacific/Apia": (
        "2010-09-26_11-00-00Z",
        "2011-04-02_14-00-00Z",
        "2011-12-30_10-00-00Z",
    ),  # the last change skips a day
}
"""Times at which local clocks were changed."""


_FIRST_S, _LAST_S = 0, 4_102_444_800


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> Iterator[ZoneInfo]:
    """The machine's time zone."""
    name: str = request.param
    try:
        known = ZoneInfo(name)
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zone database")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield known
    time.tzset()


def moments(zone: ZoneInfo) -> st.SearchStrategy[int]:
    """Times from 1970 to 2100, in microseconds since 1970, most within two hours of a change of the clocks."""
    anywhere = st.integers(_FIRST_S * US, _LAST_S * US)
    near = [
        st.integers(change - 2 * 3600 * US, change + 2 * 3600 * US)
        for change in (parse_timestamp(text, "from") for text in CHANGES.get(zone.key, ()))
    ]
    return st.one_of(anywhere, *near)


def first_with_this_local_time(moment_us: int, zone: ZoneInfo) -> int:
    """The first time at which the local clock shows the same second, in microseconds since 1970."""
    wall = datetime.fromtimestamp(moment_us // US, timezone.utc).astimezone(zone).replace(fold=0)
    return round(wall.timestamp()) * US


def test_every_form_of_a_timestamp_is_read_back_as_the_time_that_was_written(zone: ZoneInfo) -> None:
    @examples(150, 20_000)
    @given(moments(zone), st.integers(1, 9))
    def check(moment_us: int, digits: int) -> None:
        second_us, micro = moment_us // US * US, moment_us % US
        shown = f"{micro:06d}000"[:digits]
        kept_us = int(shown.ljust(6, "0")[:6])
        assert parse_timestamp(format_utc(moment_us), "from") == second_us
        assert parse_timestamp(f"{format_utc(moment_us)[:-1]}.{shown}Z", "from") == second_us + kept_us

        local, first_us = format_local(moment_us), first_with_this_local_time(moment_us, zone)
        wall = datetime.fromtimestamp(second_us // US, timezone.utc).astimezone(zone)
        assert local == wall.strftime("%Y-%m-%d_%H-%M-%S")
        assert parse_timestamp(local, "from") == first_us
        assert parse_timestamp(f"{local}.{shown}", "from") == first_us + kept_us
        assert format_local(first_us) == local
        assert first_us == second_us or 0 < second_us - first_us <= 3600 * US

    check()


def test_a_local_time_is_read_back_differently_only_where_it_occurs_twice(zone: ZoneInfo) -> None:
    for text in CHANGES.get(zone.key, ()):
        change_us = parse_timestamp(text, "from")
        before, after = ((EPOCH + timedelta(microseconds=change_us + step)).astimezone(zone) for step in (-1, 0))
        old, new = before.utcoffset(), after.utcoffset()
        assert old is not None and new is not None and old != new
        turned_back_us = max(0, (old - new) // timedelta(microseconds=1))
        for minute in range(-130, 130):
            moment_us = change_us + minute * 60 * US
            twice = 0 <= moment_us - change_us < turned_back_us
            read_us = parse_timestamp(format_local(moment_us), "from")
            assert read_us == moment_us - (turned_back_us if twice else 0)
