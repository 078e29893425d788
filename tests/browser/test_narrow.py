"""Phones, upright and on their side: pictures and timeline are seen at once, and nothing is out of reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.driver import PageDriver
from tests.browser.footage import BASE_US, Footage
from tests.support.recording import US
from tests.support.web_server import WebServer, run_web
from videostore.web.recorders import RecorderPlace

DOOR, YARD = "front-door", "yard"
UPRIGHT, LYING, SMALL = (390, 844), (844, 390), (375, 560)
IS_SEEN = """(one) => {
  const { x, y, height } = one.getBoundingClientRect();
  return one.contains(document.elementFromPoint(x + 5, y + height / 2));
}"""
OpenPage = Callable[..., PageDriver]


def phone(size: tuple[int, int]) -> dict[str, Any]:
    return {"viewport": {"width": size[0], "height": size[1]}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def six(footage: dict[str, Footage]) -> Iterator[WebServer]:
    with run_web([RecorderPlace(f"camera {number}", footage[YARD].directory) for number in range(6)]) as server:
        yield server


def test_a_narrow_screen_has_all_of_it(open_page: OpenPage, server: WebServer, footage: dict[str, Footage]) -> None:
    settings = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = open_page(server, **settings).open_at(BASE_US + 5 * US, recorders=f"{DOOR},yard")
    assert page.painted(DOOR)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.page.evaluate(
        """[...document.querySelectorAll("button, select, input")].filter((one) => one.checkVisibility())
          .map((one) => [one.id || one.textContent, one.getBoundingClientRect()])
          .filter(([, box]) => box.height < 44 || box.width < 44).map(([name]) => name)"""
    )
    assert small == []
    cut_off = page.page.evaluate(
        """[...document.querySelectorAll("button")].filter((one) => one.scrollWidth > one.clientWidth)
          .map((one) => one.id || one.textContent)"""
    )
    assert cut_off == []
    page.page.locator("#lanes").scroll_into_view_if_needed()
    box = page.page.locator("#lanes").bounding_box()
    assert box
    page.page.touchscreen.tap(box["x"] + box["width"] / 2 + 10, box["y"] + 40)
    page.until_painted(DOOR, lambda us: us > BASE_US + 8 * US)


@pytest.mark.parametrize("size", [UPRIGHT, LYING])
def test_six_pictures_and_the_lanes_are_seen_while_a_finger_scrubs(
    open_page: OpenPage, six: WebServer, footage: dict[str, Footage], size: tuple[int, int]
) -> None:
    page = open_page(six, **phone(size)).open_at(BASE_US + 5 * US)
    page.until(lambda: page.painted("camera-0") == footage[YARD].shown_at(BASE_US + 5 * US))
    page.page.locator("#screens").evaluate("(one) => one.scrollIntoView()")
    screens, lanes = box_of(page, "#screens"), box_of(page, "#lanes")
    assert screens["y"] >= 0 and screens["height"] > size[1] / 3
    assert screens["y"] + screens["height"] <= lanes["y"]
    assert lanes["y"] + 80 < size[1]
    before = page.page.evaluate("scrollY")
    page.page.touchscreen.tap(lanes["x"] + lanes["width"] / 2 + 10, lanes["y"] + 40)
    page.until_painted("camera-5", lambda us: us > BASE_US + 6 * US)
    assert page.page.evaluate("scrollY") == before
    assert page.page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("size", [UPRIGHT, LYING, SMALL])
def test_what_the_timeline_covers_is_reached(open_page: OpenPage, six: WebServer, size: tuple[int, int]) -> None:
    page = open_page(six, **phone(size)).open_at(BASE_US + 5 * US)
    for name in ("#time", "#link", "#zoom-month", "#lanes-details summary"):
        place = page.page.locator(name)
        place.focus()
        page.page.wait_for_function(IS_SEEN, arg=place.element_handle())


def test_what_is_said_in_a_small_picture_stays_in_it_and_is_read_by_scrolling(
    open_page: OpenPage, six: WebServer, footage: dict[str, Footage]
) -> None:
    page = open_page(six, **phone(UPRIGHT))
    page.page.add_init_script("for (const name of ['ManagedMediaSource', 'MediaSource']) delete window[name];")
    page.open_at(BASE_US + 5 * US)
    page.until(lambda: "Media Source" in page.message("camera-3"))
    figure = page.screen("camera-3")
    picture, message = figure.bounding_box(), figure.locator(".message").bounding_box()
    assert picture and message
    assert message["y"] > picture["y"] + picture["height"] / 4, "the picture is seen above it"
    assert message["y"] + message["height"] < picture["y"] + picture["height"]
    button = figure.get_by_role("button", name="Play the recording")
    button.scroll_into_view_if_needed()
    button.click(trial=True)


def box_of(page: PageDriver, selector: str) -> Any:
    box = page.page.locator(selector).bounding_box()
    assert box
    return box
