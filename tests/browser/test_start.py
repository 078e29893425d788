"""The first moment of the page: parts of it that do not come are told, and loaded again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, Footage

DOOR = "front-door"
US_SHOWN = BASE_US + 7_000_000
PARTS = ("start", "app", "timeline", "vendor/hls")


def goto(page: PageDriver) -> None:
    page.page.goto(f"{page.url}#at={iso(US_SHOWN)}&recorders={DOOR}", wait_until="commit")


def loading(page: PageDriver) -> str:
    """What is said of the page's loading; empty if that is not seen."""
    shown = page.page.locator("#loading")
    return shown.inner_text() if shown.is_visible() else ""


@pytest.mark.parametrize("way", ["refused", "cut off"])
@pytest.mark.parametrize("part", PARTS[1:])
def test_a_part_that_does_not_come_is_told_and_loaded_again(
    page: PageDriver, footage: dict[str, Footage], part: str, way: str
) -> None:
    lost: list[str] = []

    def lose(route: Any) -> None:
        lost.append(route.request.url)
        if way == "refused":
            route.fulfill(status=503, body="busy")
        else:
            route.abort()

    page.route(f"**/static/{part}.mjs", lose)
    goto(page)
    page.until(lambda: "A part of the page did not come. It is asked for again every 5 s" in loading(page))
    assert lost
    page.unroute(f"**/static/{part}.mjs")
    page.page.locator("figure.screen").wait_for()
    page.until_painted(DOOR, lambda us: us == footage[DOOR].shown_at(US_SHOWN))
    assert not loading(page)
    assert page.page.evaluate(
        "document.querySelector('figure.screen canvas:not([hidden])') === null"
    )  # it is the video


@pytest.mark.parametrize("way", ["refused", "no answer", "cut off"])
@pytest.mark.parametrize("sheet", ["style", "dialogs"])
def test_a_style_sheet_that_does_not_come_is_told_and_the_page_gets_it_without_being_loaded_again(
    page: PageDriver, footage: dict[str, Footage], sheet: str, way: str
) -> None:
    def lose(route: Any) -> None:
        if way == "refused":
            route.fulfill(status=503, body="busy")
        elif way == "no answer":
            route.abort()
        else:
            whole = route.fetch().text()
            route.fulfill(content_type="text/css", body=whole[: len(whole) // 2])

    page.page.route(f"**/static/{sheet}.css", lose)
    goto(page)
    told = page.page.locator("#unstyled")
    told.wait_for()
    assert "The style of the page did not come. It is asked for again every 5 s" in told.inner_text()
    page.until_painted(DOOR, lambda us: us == footage[DOOR].shown_at(US_SHOWN))
    page.page.evaluate("window.isTheSamePage = true")
    page.page.unroute(f"**/static/{sheet}.css")
    told.wait_for(state="hidden")
    assert page.page.evaluate("window.isTheSamePage")
    button = page.page.evaluate("getComputedStyle(document.getElementById('play')).minHeight")
    dialog = page.page.evaluate("getComputedStyle(document.getElementById('help')).paddingLeft")
    assert (button, dialog) == ("36px", "22px")
    page.until_painted(DOOR, lambda us: us == footage[DOOR].shown_at(US_SHOWN))


def test_a_part_that_is_missing_stays_told(page: PageDriver) -> None:
    page.route("**/static/view.mjs", lambda route: route.fulfill(status=404))
    goto(page)
    page.until(lambda: "A part of the page did not come." in loading(page))
    asked = len(page.asked)
    page.until(lambda: sum("view.mjs" in url for url in page.asked[asked:]) > 1)
    assert "A part of the page did not come." in loading(page)
    page.unroute("**/static/view.mjs")
    page.page.locator("figure.screen").wait_for()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_late_is_told_until_it_comes(page: PageDriver, footage: dict[str, Footage], part: str) -> None:
    held: list[Any] = []
    page.route(f"**/static/{part}.mjs", lambda route: held.append(route))
    goto(page)
    page.until(lambda: held and "The page is loading." in loading(page))
    held[0].continue_()
    page.page.locator("figure.screen").wait_for()
    page.until_painted(DOOR, lambda us: us == footage[DOOR].shown_at(US_SHOWN))
    assert not loading(page)


def test_a_part_that_this_browser_cannot_read_is_told(page: PageDriver) -> None:
    page.route(
        "**/static/view.mjs", lambda route: route.fulfill(content_type="text/javascript", body="export const a = 1 1;")
    )
    goto(page)
    page.until(lambda: "This page does not fit this browser: " in loading(page))
    assert "Reload it; if that changes nothing, the browser is too old." in loading(page)


def test_a_page_that_cannot_begin_is_not_loaded_again_without_end(page: PageDriver) -> None:
    page.route(
        "**/static/view.mjs",
        lambda route: route.fulfill(
            content_type="text/javascript", body="export class View {} throw new Error('broken on purpose')"
        ),
    )
    goto(page)
    page.until(lambda: "does not begin, though all of it is here: broken on purpose." in loading(page))
    assert sum(url.endswith("#") or "#at=" in url for url in page.asked) <= 5


def test_the_page_begins_where_the_browser_keeps_nothing(page: PageDriver, footage: dict[str, Footage]) -> None:
    page.page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError'); } });"
    )
    goto(page)
    page.page.locator("figure.screen").wait_for()
    page.until_painted(DOOR, lambda us: us == footage[DOOR].shown_at(US_SHOWN))
    assert not loading(page)


def test_nothing_is_said_of_the_loading_while_a_password_is_asked_for(page: PageDriver) -> None:
    page.route("**/api/session", lambda route: route.fulfill(json={"needed": True, "open": False}))
    goto(page)
    page.page.locator("#login[open]").wait_for()
    page.page.wait_for_timeout(4000)
    assert not loading(page)
