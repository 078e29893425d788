"""What the page tells of the health of recorders."""

from __future__ import annotations

import re

from playwright.sync_api import Route

from tests.browser.driver import PageDriver
from tests.browser.footage import BASE_US
from tests.support.recording import US

DOOR = "front-door"


def test_health_is_told(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    page.press("h")
    content = page.page.locator("#health-content")
    page.until(lambda: "not recording" in content.inner_text())
    assert "front door" in content.inner_text()
    assert "Stored" in content.inner_text()
    assert re.search(r"Newest picture\s+\d+ days", content.inner_text())
    assert re.search(r"Fits at the present rate\s+nothing is recorded at the moment", content.inner_text())
    assert "fit" not in page.text("#summary")
    assert re.search(r"Free on the disk\s+[\d.]+ [MGT]iB", content.inner_text())


def test_how_many_days_fit_is_told_of_what_has_room(page: PageDriver) -> None:
    def tell(route: Route) -> None:
        room = {"limit_bytes": 50 << 30, "room_bytes": 12 << 30, "days_fit": 1.5, "days_unknown": None}
        route.fulfill(json={**route.fetch().json(), **room})

    page.route("**/health", tell)
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    page.until(lambda: "1 day 12 h fit" in page.text("#summary"))
    page.press("h")
    content = page.page.locator("#health-content")
    page.until(lambda: re.search(r"Fits at the present rate\s+1 day 12 h", content.inner_text()))
    assert re.search(r"Stored\s+[\d.]+ [KM]iB of 50 GiB\s+The disk has room for\s+12 GiB", content.inner_text())
