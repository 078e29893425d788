"""What the page makes of a typed time: days, halves of days, fractions, zones; what it refuses; how it names zones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.driver import PageDriver
from tests.browser.footage import make
from tests.support.web_server import WebServer, run_web
from videostore.web.recorders import RecorderPlace

_READ = """async ([texts, zone, now, shown]) => {
  const { parseTime } = await import("./static/typed_time.mjs");
  const { Zone, UTC } = await import("./static/zone.mjs");
  const us = (text) => Date.parse(text) * 1000;
  const read = (text) => {
    try {
      return parseTime(text, new Zone(zone), us(now), us(shown)).map((us) => UTC.full(us, 6).slice(0, -4)).join(", ");
    } catch (error) {
      return error.message;
    }
  };
  return texts.map(read);
}"""
_NAMES = """async (names) => {
  const { Zone } = await import("./static/zone.mjs");
  const moments = [Date.UTC(2026, 0, 15) * 1000, Date.UTC(2026, 6, 15) * 1000];
  return names.map((name) => moments.map((us) => new Zone(name).label(us)));
}"""
NOW, SHOWN = "2026-11-28T09:00:00Z", "2026-11-01T12:00:00Z"
IN_NEW_YORK = {
    "25 Nov": "2026-11-25 05:00:00.000000",
    "3 May": "2026-05-03 04:00:00.000000",
    "5 march 10:00": "2026-03-05 15:00:00.000000",
    "2 sep": "2026-09-02 04:00:00.000000",
    "1 dec 2025": "2025-12-01 05:00:00.000000",
    "3 m": "2026-11-28 08:57:00.000000",
    "2 secs ago": "2026-11-28 08:59:58.000000",
    "1 day ago": "2026-11-27 09:00:00.000000",
    "14:05:30.25": "2026-11-01 19:05:30.250000",
    "14:05:30.250123": "2026-11-01 19:05:30.250123",
    "14:05:30.25012": "2026-11-01 19:05:30.250120",
    "8:00 today": "2026-11-28 13:00:00.000000",
    "8:00 mon": "2026-11-23 13:00:00.000000",
    "2:05 pm": "2026-11-01 19:05:00.000000",
    "25 Nov 12:30:01.5 AM": "2026-11-25 05:30:01.500000",
    "2:05 pm utc": "2026-11-01 14:05:00.000000",
    "01:30": "2026-11-01 05:30:00.000000, 2026-11-01 06:30:00.000000",
    "01:30 EDT": "2026-11-01 05:30:00.000000",
    "1:30 am est": "2026-11-01 06:30:00.000000",
    "01:30 UTC-4": "2026-11-01 05:30:00.000000",
    "2026-11-01 01:30:00 GMT−5": "2026-11-01 06:30:00.000000",
    "01:30 utc-04:00": "2026-11-01 05:30:00.000000",
    "01:30 +0545": "2026-10-31 19:45:00.000000",
}
REFUSED = {
    "14:05 CET": "The clock shows EST then, not CET.",
    "2026-07-01 14:05 EST": "The clock shows EDT then, not EST.",
    "01:30 x0400": "no time that is understood",
    "14:05:30.1234567": "no time that is understood",
    "01:30 utc+99": "No clock is 99:00 from UTC.",
    "01:30 +05:75": "No clock is 05:75 from UTC.",
    "13:00 pm": "13:00 pm is no time of day.",
    "0:30 am": "0:30 am is no time of day.",
    "99999999999999999999d": "before 1970",
    "0050-01-01": "before 1970",
    "31 june": "There is no day 31 june.",
    "2026-03-08 02:30": "set forward",
}
NAMES = {
    "Europe/Berlin": ["CET", "CEST"],
    "America/New_York": ["EST", "EDT"],
    "America/St_Johns": ["NST", "NDT"],
    "Asia/Kathmandu": ["UTC+5:45", "UTC+5:45"],
}


def read(page: PageDriver, texts: list[str]) -> list[str]:
    found: list[str] = page.page.evaluate(_READ, [texts, "America/New_York", NOW, SHOWN])
    return found


def test_a_time_is_read_as_a_person_means_it(page: PageDriver) -> None:
    page.open()
    assert dict(zip(IN_NEW_YORK, read(page, list(IN_NEW_YORK)), strict=True)) == IN_NEW_YORK


def test_what_means_no_time_or_another_zone_is_refused_in_words(page: PageDriver) -> None:
    page.open()
    for (text, told), answer in zip(REFUSED.items(), read(page, list(REFUSED)), strict=True):
        assert told in answer, text


def test_a_zone_has_the_name_that_people_there_give_it(page: PageDriver) -> None:
    page.open()
    assert dict(zip(NAMES, page.page.evaluate(_NAMES, list(NAMES)), strict=True)) == NAMES


@pytest.fixture
def after_midnight(tmp_path: Path) -> Iterator[WebServer]:
    """A recording of an hour that is another day in UTC than where the recorder is."""
    directory = tmp_path / "attic"
    make(directory, (-3600, 6))
    with run_web([RecorderPlace("attic", directory)]) as server:
        yield server


def test_the_calendar_shows_days_of_utc_where_times_are_in_utc(
    open_page: Callable[..., PageDriver], after_midnight: WebServer
) -> None:
    page = open_page(after_midnight).open()
    for key, day in (("c", 26), ("z", 25)):
        page.press(*(["Escape", "z", "c"] if key == "z" else [key]))
        page.until(lambda: "1 day with recordings" in page.text("#calendar-text"))
        recorded = page.page.locator("#days button[data-recorded='some']")
        assert recorded.all_inner_texts() == [str(day)]
    recorded.click()
    page.settle()
    assert page.painted("attic") is not None
