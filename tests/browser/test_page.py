"""The page itself: screens of any size, dark and light, keys, what is missing, and what it asks for."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.browser.driver import PageDriver
from tests.browser.footage import BASE_US, Footage
from tests.support.recording import US
from tests.support.web_server import WebServer

DOOR = "front-door"
OpenPage = Callable[..., PageDriver]


def luminance(page: PageDriver) -> float:
    """How bright the ground of the page is."""
    found = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", found)[:3])) / 3


@pytest.mark.parametrize(("scheme", "bright"), [("dark", False), ("light", True)])
def test_it_is_dark_and_light(open_page: OpenPage, server: WebServer, scheme: str, bright: bool) -> None:
    page = open_page(server, color_scheme=scheme).open_at(BASE_US + 5 * US, recorders=DOOR)
    assert (luminance(page) > 128) is bright
    assert page.painted(DOOR)


def test_the_help_lists_every_key_from_the_first(page: PageDriver) -> None:
    page.page.set_viewport_size({"width": 1280, "height": 500})  # the list does not fit
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    page.page.keyboard.press("?")
    rows = page.page.locator("#keys tr").all_inner_texts()
    assert len(rows) > 25
    assert any("one frame forward" in row for row in rows)
    shown = "[help.scrollTop, help.scrollHeight > help.clientHeight]"
    assert page.page.evaluate(f"() => {{ const help = document.getElementById('help'); return {shown} }}") == [0, True]
    page.page.keyboard.press("Escape")
    page.page.locator("#help").wait_for(state="hidden")


def test_keys_in_a_field_are_its_own(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    page.page.keyboard.press("t")
    page.page.keyboard.type("i o k 0")
    assert page.page.locator("#time").input_value() == "i o k 0"
    assert page.text("#clip-text") == ""
    page.page.keyboard.press("Escape")


def test_everything_has_a_name_and_is_reached_by_the_keyboard(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    nameless = page.page.evaluate(
        """[...document.querySelectorAll("button, select, input, canvas[tabindex]")]
          .filter((one) => one.checkVisibility())
          .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length))
          .map((one) => one.id)"""
    )
    assert nameless == []
    seen: set[str] = set()
    for _ in range(60):
        page.page.keyboard.press("Tab")
        seen.add(page.page.evaluate("document.activeElement.id"))
    assert {"lanes", "time", "play", "speed", "mark-in", "day", "zoom-day", "help-button", "link"} <= seen


def test_it_asks_only_its_own_server(page: PageDriver, server: WebServer) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    page.press("k", "?")
    others = [url for url in page.asked if not url.startswith((server.url, "blob:", "data:"))]
    assert others == []


def test_without_hls_it_says_so_and_shows_pictures(
    open_page: OpenPage, server: WebServer, footage: dict[str, Footage]
) -> None:
    page = open_page(server)
    page.route("**/static/vendor/**", lambda route: route.fulfill(status=404))
    us = BASE_US + 17 * US
    page.open_at(us, recorders=DOOR)
    page.until(lambda: "lacks hls.js" in page.message(DOOR))
    assert page.until_painted(DOOR, lambda painted: painted > 0) == footage[DOOR].shown_at(us)


def test_a_browser_without_media_sources_is_told_so_and_gets_pictures_and_the_playlist(
    open_page: OpenPage, server: WebServer, footage: dict[str, Footage]
) -> None:
    page = open_page(server)
    page.page.add_init_script("for (const name of ['ManagedMediaSource', 'MediaSource']) delete window[name];")
    us = BASE_US + 17 * US
    page.open_at(us, recorders=DOOR)
    page.until(lambda: "Media Source" in page.message(DOOR))
    assert page.until_painted(DOOR, lambda painted: painted > 0) == footage[DOOR].shown_at(us)
    page.route("**/index.m3u8?*", lambda route: route.fulfill(body=""))
    page.screen(DOOR).get_by_role("button", name="Play the recording").click()
    page.until(lambda: f"/hls/{DOOR}/index.m3u8?from_us={footage[DOOR].shown_at(us)}&" in page.page.url)


def test_what_this_browser_cannot_decode_is_told_and_shown_as_pictures(
    page: PageDriver, footage: dict[str, Footage]
) -> None:
    if page.page.evaluate("MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L93.B0\"')"):
        pytest.skip("this Chromium decodes H.265")
    us = BASE_US + 2 * US
    page.open_at(us, recorders="gate")
    page.until(lambda: "cannot decode H.265" in page.message("gate"))
    assert page.screen("gate").get_by_role("button", name="Download").is_visible()
    assert page.until_painted("gate", lambda painted: painted > 0) == footage["gate"].shown_at(us)
    page.press("ArrowRight")
    shown = page.until_painted("gate", lambda painted: painted > us)
    assert shown == footage["gate"].shown_at(us + US)
    assert page.stamp_us("gate") == shown // 1000 * 1000


def test_a_playlist_that_names_what_this_browser_cannot_decode_is_told_too(
    page: PageDriver, footage: dict[str, Footage]
) -> None:
    if page.page.evaluate("MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L93.B0\"')"):
        pytest.skip("this Chromium decodes H.265")
    address = f"index.m3u8?from_us={BASE_US}&parts_us=0"
    leading = f'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="hvc1.1.6.L93.B0"\n{address}\n'
    page.route("**/index.m3u8?*", lambda route: route.fulfill(body=leading))
    us = BASE_US + 2 * US
    page.open_at(us, recorders="gate")
    page.until(lambda: "cannot decode H.265" in page.message("gate"))
    assert page.until_painted("gate", lambda painted: painted > 0) == footage["gate"].shown_at(us)


def test_a_server_that_is_gone_is_told_and_comes_back(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    page.route("**/api/**", lambda route: route.abort())
    page.until(lambda: "does not answer" in page.text("#banner"))
    page.unroute("**/api/**")
    page.page.locator("#banner").wait_for(state="hidden")
