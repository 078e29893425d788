"""The pointer looks for a moment: pictures that come late or in another order, and a search that is broken off."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, ZONE, Footage
from tests.browser.hold import Hold
from tests.support.recording import US
from tests.support.web_server import WebServer

DOOR = "front-door"
VIEW = (BASE_US - 35 * US, BASE_US + 165 * US)
BREAK_OFF = "(lanes) => lanes.dispatchEvent(new PointerEvent('pointercancel', { pointerId: 1, bubbles: true }))"
SPAN_S = 60
STANDS_S = 5
"""After so long a live video that stands still is replaced by single pictures."""


def open_lanes(page: PageDriver) -> PageDriver:
    """The page with the whole recording on its lanes, at the beginning of it."""
    return page.open(at=iso(BASE_US + US), from_=iso(VIEW[0]), to=iso(VIEW[1]), recorders=DOOR)


def point(page: PageDriver, after_s: float) -> None:
    """Move the pointer to a moment."""
    page.page.mouse.move(page.lane_x(BASE_US + round(after_s * US), *VIEW), page.lane_y())


def near(after_s: float) -> Callable[[int], bool]:
    """Whether a frame is one of about this moment."""
    return lambda us: abs(us - BASE_US - round(after_s * US)) < 2 * US


def begin_scrub(page: PageDriver, after_s: float) -> None:
    """Press in the lanes, and drag to a moment, of which a picture is shown."""
    point(page, 5)
    page.page.mouse.down()
    point(page, after_s)
    page.until_shown(DOOR, near(after_s))


def break_off(page: PageDriver) -> None:
    """End the search without a choice, as a second finger does, or a browser that takes the pointer away."""
    page.page.locator("#lanes").evaluate(BREAK_OFF)


def test_a_picture_that_comes_late_does_not_take_the_place_of_a_newer_one(page: PageDriver) -> None:
    open_lanes(page)
    hold = Hold(page, "**/frame.jpg*", most=1)
    point(page, 10)
    hold.until_asked()
    page.page.mouse.down()
    point(page, 25)
    shown_us = page.until_shown(DOOR, near(25))
    hold.let_go()
    assert page.shown(DOOR).painted_us == shown_us
    assert near(25)(int(page.page.locator("#hover-picture").get_attribute("data-captured") or 0))


def test_beside_what_is_told_of_a_gap_no_picture_appears(page: PageDriver) -> None:
    open_lanes(page)
    point(page, 50)
    page.until(lambda: "not recorded for 30 s" in page.text("#hover-text"))
    hold = Hold(page, "**/frame.jpg*", most=1)
    point(page, 30)
    hold.until_asked()
    point(page, 50)
    hold.let_go()
    assert page.page.locator("#hover-picture").is_hidden()


def test_a_search_that_is_broken_off_shows_again_what_was_shown(page: PageDriver, footage: dict[str, Footage]) -> None:
    open_lanes(page)
    before = page.shown(DOOR)
    assert before.is_true
    begin_scrub(page, 20)
    break_off(page)
    assert page.shown(DOOR) == before


def test_a_search_from_a_gap_that_is_broken_off_tells_the_gap_again(page: PageDriver) -> None:
    open_lanes(page).type_time("02:10:50")
    before = page.shown(DOOR)
    assert before.painted_us is None and "no recording" in before.stamp
    begin_scrub(page, 20)
    assert not page.is_told(DOOR)  # what it says is of another moment
    break_off(page)
    assert page.shown(DOOR) == before
    assert "Nothing was recorded at 02:10:50" in page.message(DOOR)


def test_what_plays_goes_on_after_a_search_that_is_broken_off(page: PageDriver) -> None:
    open_lanes(page).press("k")
    page.until_painted(DOOR, lambda us: us > BASE_US + 2 * US)
    begin_scrub(page, 90)
    break_off(page)
    assert page.text("#play") == "Pause"
    at_us = page.until_painted(DOOR, lambda us: us < BASE_US + 38 * US)
    page.until_painted(DOOR, lambda us: us > at_us)


def test_until_the_frame_that_was_chosen_comes_the_time_is_that_of_what_is_seen(page: PageDriver) -> None:
    open_lanes(page)
    before_us = page.shown(DOOR).painted_us
    begin_scrub(page, 90)
    hold = Hold(page, "**/hls/**", most=1)
    page.page.mouse.up()
    hold.until_asked()
    while_it_loads = page.shown(DOOR)
    assert while_it_loads.painted_us == before_us and while_it_loads.is_true
    hold.let_go()
    page.settle()
    page.until_shown(DOOR, near(90))


def test_a_moment_that_is_looked_for_while_it_is_live_stays_until_it_is_chosen(
    open_page: Callable[..., PageDriver], live_server: WebServer
) -> None:
    while len(live_server.get("api/recorders/porch/frames?from=-20s&to=now").json["frames_us"]) < 100:
        time.sleep(0.5)
    us = time.time_ns() // 1000 - 8 * US  # live is seconds nearer
    page = open_page(live_server).open(live="1", from_=iso(us - SPAN_S * US), to=iso(us))
    page.until_painted("porch", lambda painted: painted > us + 4 * US)
    box = page.page.locator("#lanes").bounding_box()
    assert box
    middle_x = box["x"] + box["width"] / 2
    page.page.mouse.move(middle_x, page.lane_y())
    page.page.mouse.down()
    page.page.mouse.move(middle_x + 10, page.lane_y())  # from now on the lanes stay where they are
    pointed = datetime.strptime(page.text("#hover-text")[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo(ZONE))
    away_s = us / US - pointed.timestamp()
    page.page.mouse.move(middle_x + 10 + away_s / SPAN_S * box["width"], page.lane_y())
    page.until_shown("porch", lambda painted: abs(painted - us) < 3 * US)
    shown = page.shown("porch")
    page.page.wait_for_timeout((STANDS_S + 4) * 1000)  # the page looks at what is live each 2 s
    assert page.shown("porch") == shown
    assert not page.is_told("porch")
    break_off(page)
    since_us = time.time_ns() // 1000
    page.until_painted("porch", lambda us: us > since_us)
    page.until(lambda: page.screen("porch").locator(".note").inner_text().startswith("live"))
