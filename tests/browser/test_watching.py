"""What the page shows: the painted clock of each picture is what was asked for, and what is written beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, GAP_US, LENGTH_S, ZONE, Footage, being_recorded, make
from tests.support.recording import US
from tests.support.web_server import WebServer, run_web
from videostore.web.recorders import RecorderPlace

DOOR = "front-door"
HOUR_US = 3600 * US


def check(page: PageDriver, id: str, due_us: int) -> None:
    """The picture and its stamp are those of a frame."""
    page.until_shown(id, lambda us: us == due_us)


def test_a_link_shows_the_frame_of_its_moment(page: PageDriver, footage: dict[str, Footage]) -> None:
    us = BASE_US + 17_400_000
    page.open_at(us, recorders=DOOR)
    check(page, DOOR, footage[DOOR].shown_at(us))


@pytest.mark.parametrize("after_s", [0.25, 9.98, 25.5, 39.5, 100.003])
def test_a_typed_time_shows_the_frame_of_this_moment(
    page: PageDriver, footage: dict[str, Footage], after_s: float
) -> None:
    page.open_at(BASE_US + US, recorders=DOOR)
    us = BASE_US - 123_457 + round(after_s * US)
    seconds = 10 * 60 + after_s
    page.type_time(f"02:{int(seconds // 60):02d}:{seconds % 60:06.3f}")
    check(page, DOOR, footage[DOOR].shown_at(us))


def test_an_hour_that_comes_twice_is_typed_with_its_zone(page: PageDriver, footage: dict[str, Footage]) -> None:
    page.open_at(BASE_US + US, recorders=DOOR)
    page.type_time("2025-10-26 02:10:05")
    check(page, DOOR, footage[DOOR].shown_at(BASE_US - 123_457 + 5 * US))
    page.until_said("twice, in CEST and CET")
    page.type_time("2025-10-26 02:10:05 CET")
    check(page, DOOR, footage[DOOR].shown_at(BASE_US - 123_457 + 5 * US + HOUR_US))
    assert "CET" in page.screen(DOOR).locator(".local").inner_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("noon", "no time that is understood"),
        ("26:00", "no time of day"),
        ("31 Feb 10:00", "no day"),
        ("2025-03-30 02:30", "set forward"),
        ("2099-01-01", "in the future"),
    ],
)
def test_a_time_that_is_none_is_told(page: PageDriver, text: str, told: str) -> None:
    page.open_at(BASE_US + US, recorders=DOOR)
    page.type_time(text)
    assert told in page.text("#time-error")


@pytest.mark.parametrize(("weekday", "days"), [("", 1), ("%A ", 7)])
def test_a_time_that_is_still_to_come_is_the_last_one_of_that_kind(page: PageDriver, weekday: str, days: int) -> None:
    today = datetime.now(ZoneInfo(ZONE))
    page.open_at(round(today.timestamp()) * US, recorders=DOOR)
    page.type_time(today.strftime(f"{weekday}23:59:59.999"))
    shown = page.screen(DOOR).locator(".local").inner_text()
    assert shown.startswith(f"{today - timedelta(days=days):%Y-%m-%d} 23:59:59"), page.text("#time-error")


def test_frames_are_stepped_both_ways(page: PageDriver, footage: dict[str, Footage]) -> None:
    door = footage[DOOR]
    us = door.shown_at(BASE_US + 19 * US)
    page.open_at(us, recorders=DOOR)
    for _ in range(4):
        us = door.after(us)
        page.press(".")
        check(page, DOOR, us)
    for _ in range(2):
        us = door.shown_at(us - 1)
        page.press(",")
        check(page, DOOR, us)


def test_arrows_and_letters_move_by_seconds(page: PageDriver, footage: dict[str, Footage]) -> None:
    us = BASE_US + 15 * US
    page.open_at(us, recorders=DOOR)
    arrows = [("ArrowRight", 1), ("ArrowLeft", -1), ("Shift+ArrowRight", 10)]
    for key, by_s in [*arrows, ("j", -10), ("l", 10), ("Shift+L", 60), ("Shift+J", -60)]:
        us += by_s * US
        page.press(key)
        check(page, DOOR, footage[DOOR].shown_at(us))


def test_back_returns_to_where_one_was(page: PageDriver, footage: dict[str, Footage]) -> None:
    us = BASE_US + 5 * US
    page.open_at(us, recorders=DOOR)
    page.type_time("02:11:30")
    page.press("Backspace")
    check(page, DOOR, footage[DOOR].shown_at(us))


def test_what_is_played_is_stamped_as_it_is_painted(page: PageDriver, footage: dict[str, Footage]) -> None:
    page.open_at(BASE_US + 2 * US, recorders=DOOR)
    page.press("k")
    page.until_painted(DOOR, lambda us: us > BASE_US + 5 * US)
    page.press("k")
    check(page, DOOR, footage[DOOR].shown_at(page.stamp_us(DOOR) + 999))


@pytest.mark.parametrize("rate", ["0.25", "4", "16"])
def test_it_plays_slower_and_faster(page: PageDriver, rate: str) -> None:
    page.open_at(BASE_US + 71 * US, recorders=DOOR)
    page.page.locator("#speed").select_option(rate)
    page.page.locator("#play").click()
    first = page.until_painted(DOOR, lambda us: us > BASE_US + 71 * US + 200_000)
    began = time.monotonic()
    distance_us = round(float(rate) * US)
    last = page.until_painted(DOOR, lambda us: us > first + distance_us)
    # The rate is the player's; a busy machine shows fewer frames, and late.
    assert page.page.locator("video").evaluate("(video) => video.playbackRate") == float(rate)
    assert (last - first) / US <= (time.monotonic() - began + 1) * float(rate) * 1.5


def test_a_gap_is_told_with_the_ways_out(page: PageDriver, footage: dict[str, Footage]) -> None:
    page.open_at(BASE_US + 50 * US, recorders=DOOR)
    assert page.painted(DOOR) is None
    assert "Nothing was recorded at 02:10:50" in page.message(DOOR)
    page.screen(DOOR).get_by_role("button", name="▶").click()
    page.settle()
    check(page, DOOR, footage[DOOR].after(GAP_US[0] + 10 * US))
    page.type_time("02:10:50")
    page.screen(DOOR).get_by_role("button", name="◀").click()
    page.settle()
    check(page, DOOR, footage[DOOR].shown_at(GAP_US[0] + 10 * US))


def test_the_ways_out_of_a_gap_of_days_have_their_date(page: PageDriver) -> None:
    page.open_at(BASE_US + 50 * 3600 * US, recorders=DOOR)
    assert page.screen(DOOR).get_by_role("button", name="◀ 2025-10-26 02:10").count() == 1
    page.open_at(BASE_US + 50 * US, recorders=DOOR)
    assert page.screen(DOOR).get_by_role("button", name="2025-10-26").count() == 0


def test_play_goes_over_a_gap_with_a_word(page: PageDriver) -> None:
    page.open_at(GAP_US[0] - 2 * US, recorders=DOOR)
    page.press("k")
    page.until_said("Skipped 30 s without recording")
    assert page.until_painted(DOOR, lambda us: us >= GAP_US[1]) < GAP_US[1] + 20 * US


def test_a_typed_moment_without_recording_is_shown_as_that_while_it_plays(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    page.press("k")
    page.until_painted(DOOR, lambda us: us > BASE_US + 6 * US)
    page.type_time("02:10:50")
    page.until(lambda: page.text("#play") == "Play")
    assert "Nothing was recorded at 02:10:50" in page.message(DOOR)
    assert page.page.locator("#time").input_value() == "02:10:50"


def test_play_from_within_a_gap_begins_behind_it(page: PageDriver) -> None:
    page.open_at(BASE_US + 50 * US, recorders=DOOR)
    page.press("k")
    assert page.until_painted(DOOR, lambda us: us >= GAP_US[1]) < GAP_US[1] + 20 * US


def test_back_into_a_gap_shows_the_last_frame_before_it(page: PageDriver, footage: dict[str, Footage]) -> None:
    door = footage[DOOR]
    last, first = door.shown_at(GAP_US[0]), door.after(GAP_US[0])
    for keys in (("j",), ("ArrowLeft", "ArrowLeft"), ("Shift+ArrowLeft",)):
        page.open_at(first + US, recorders=DOOR)
        page.press(*keys)
        check(page, DOOR, last)
    page.until_said("Skipped 30 s without recording")
    page.press("l")
    check(page, DOOR, first)


def test_back_into_a_gap_goes_on_before_it_while_it_plays(page: PageDriver) -> None:
    page.open_at(GAP_US[1] + US, recorders=DOOR)
    page.page.locator("#speed").select_option("0.25")
    page.press("k")
    page.until_painted(DOOR, lambda us: us > GAP_US[1] + US)
    page.press("j")
    assert page.until_painted(DOOR, lambda us: us < GAP_US[0]) > GAP_US[0] - 10 * US
    assert page.text("#play") == "Pause"


def test_frames_are_stepped_over_a_gap(page: PageDriver, footage: dict[str, Footage]) -> None:
    door = footage[DOOR]
    last, first = door.shown_at(GAP_US[0]), door.after(GAP_US[0])
    page.open_at(first, recorders=DOOR)
    for key, us in ((",", last), (".", first)):
        page.press(key)
        check(page, DOOR, us)


def test_before_the_begin_nothing_is_shown(page: PageDriver, footage: dict[str, Footage]) -> None:
    us = BASE_US + 2 * US
    page.open_at(us, recorders=DOOR)
    page.press("j")
    page.until_said("Nothing is recorded before this.")
    check(page, DOOR, footage[DOOR].shown_at(us))


def test_recordings_at_rest_open_with_the_newest_and_are_not_called_live(
    page: PageDriver, footage: dict[str, Footage]
) -> None:
    page.open(recorders=DOOR)
    newest = footage[DOOR].times_us[-1]
    shown = page.until_painted(DOOR, lambda us: us > newest - 2 * US)
    assert page.text("#live") == "Newest"
    assert page.screen(DOOR).locator(".note").inner_text().startswith("the newest recording, ")
    page.press("j", "End")
    check(page, DOOR, shown)
    page.press("l")
    page.until_said("Nothing is recorded after this.")
    check(page, DOOR, shown)
    assert "live" not in page.page.title()


def test_what_was_recorded_before_the_clock_was_set_back_is_moved_in(
    open_page: Callable[..., PageDriver], tmp_path: Path
) -> None:
    """It lies in the future until the clock has come there."""
    begin_us = (time.time_ns() // 1000 // US + 3600) * US
    ahead = make(tmp_path / "ahead", ((begin_us - BASE_US) / US, 40))
    with run_web([RecorderPlace("ahead", ahead.directory)]) as server:
        page = open_page(server)
        view = begin_us, begin_us + 40 * US
        page.open(at=iso(begin_us + 5 * US), from_=iso(view[0]), to=iso(view[1]))
        check(page, "ahead", ahead.shown_at(begin_us + 5 * US))
        page.press("l")
        check(page, "ahead", ahead.shown_at(begin_us + 15 * US))
        page.press("j")
        check(page, "ahead", ahead.shown_at(begin_us + 5 * US))
        page.type_time(iso(begin_us + 30 * US))
        check(page, "ahead", ahead.shown_at(begin_us + 30 * US))
        page.page.mouse.click(page.lane_x(begin_us + 20 * US, *view), page.lane_y())
        page.until_painted("ahead", lambda us: abs(us - begin_us - 20 * US) < 5 * US)
        page.type_time(iso(begin_us + 3600 * US))
        assert "is in the future." in page.text("#time-error")


def test_live_is_now_also_where_older_footage_lies_in_the_future(
    open_page: Callable[..., PageDriver], tmp_path: Path
) -> None:
    ahead = make(tmp_path / "storage", ((time.time_ns() // 1000 - BASE_US) / US + 3600, 20))
    with being_recorded(tmp_path) as directory, run_web([RecorderPlace("porch", directory)]) as server:
        page = open_page(server).open(at=iso(ahead.times_us[0] + 5 * US))
        check(page, "porch", ahead.shown_at(ahead.times_us[0] + 5 * US))
        for keys in ("End", "j", "l"):
            page.press(keys)
        assert page.text("#live") == "Live"
        page.until_painted("porch", lambda us: abs(us - time.time_ns() // 1000) < 60 * US)
        page.until(lambda: "live" in page.screen("porch").locator(".note").inner_text())
        page.press("k")
        page.type_time(iso(ahead.times_us[0] + 5 * US))
        check(page, "porch", ahead.shown_at(ahead.times_us[0] + 5 * US))
        page.type_time("now")
        page.until_painted("porch", lambda us: abs(us - time.time_ns() // 1000) < 60 * US)
        page.until(lambda: "live" in page.screen("porch").locator(".note").inner_text())


def test_the_end_of_what_lies_in_the_future_is_told_though_something_is_recorded_now(
    open_page: Callable[..., PageDriver], tmp_path: Path
) -> None:
    ahead = make(tmp_path / "storage", ((time.time_ns() // 1000 - BASE_US) / US + 3600, 10))
    with being_recorded(tmp_path) as directory, run_web([RecorderPlace("porch", directory)]) as server:
        page = open_page(server).open(at=iso(ahead.times_us[-20]))
        check(page, "porch", ahead.times_us[-20])
        page.press("k")
        page.until_said("Nothing is recorded after this.")
        check(page, "porch", ahead.times_us[-1])
        assert page.text("#play") == "Play"
        assert page.message("porch") == ""
        page.until(lambda: not page.screen("porch").locator(".work").is_visible())


def test_the_end_is_told(page: PageDriver) -> None:
    page.open_at(BASE_US + (LENGTH_S - 2) * US, recorders="yard")
    page.press("k")
    page.until_said("Nothing is recorded after this")
    assert page.text("#play") == "Play"


def test_live_is_seconds_behind_and_one_key_away(open_page: Callable[..., PageDriver], live_server: WebServer) -> None:
    page = open_page(live_server).open()
    assert page.until_painted("porch", lambda us: time.time() - us / US < 10)
    assert "live" in page.screen("porch").locator(".note").inner_text()
    page.press("j")
    assert "live" not in page.screen("porch").locator(".note").inner_text()
    late = time.time_ns() // 1000
    page.press("End")
    # It was captured after the key was pressed: what is shown follows the camera.
    shown = page.until_painted("porch", lambda us: us > late)
    assert "live" in page.screen("porch").locator(".note").inner_text()
    assert abs(page.stamp_us("porch") - shown) < 20 * US


def test_live_that_fell_behind_catches_up(open_page: Callable[..., PageDriver], live_server: WebServer) -> None:
    page = open_page(live_server).open()
    page.until_painted("porch", lambda us: time.time() - us / US < 10)
    page.screen("porch").locator("video").evaluate(
        """(video) => new Promise((resolve) => {
          video.addEventListener("seeked", resolve, { once: true });
          setTimeout(resolve, 20_000);
          video.currentTime -= 20;
        })"""
    )
    page.until_painted("porch", lambda us: time.time() - us / US < 10)
    assert "live" in page.screen("porch").locator(".note").inner_text()


def test_times_are_the_recorders_or_utc(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    assert page.screen(DOOR).locator(".local").inner_text().endswith("CEST")
    page.press("z")
    assert page.screen(DOOR).locator(".local").inner_text().endswith("UTC")
    page.type_time("00:10:07")
    assert page.stamp_us(DOOR) < BASE_US + 7 * US
    assert "zone=utc" in page.until(lambda: "zone=utc" in page.page.url and page.page.url)
