"""What is pressed before the page knows which moment it shows, and what is chosen while an answer is still awaited."""

from __future__ import annotations

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, Footage
from tests.browser.hold import Hold
from tests.support.recording import US

YARD = "yard"
TYPED_US = BASE_US + 17 * US


@pytest.fixture
def early(page: PageDriver) -> tuple[PageDriver, Hold]:
    """A page that does not know yet what was recorded last."""
    hold = Hold(page, "**/timeline?*")
    page.page.goto(f"{page.url}#recorders={YARD}")
    page.page.wait_for_selector("figure.screen")
    hold.until_asked()
    return page, hold


Early = tuple[PageDriver, Hold]


def type_time(page: PageDriver) -> None:
    """Type a time, and wait for nothing."""
    page.page.keyboard.press("t")
    page.page.locator("#time").fill(iso(TYPED_US))
    page.page.keyboard.press("Enter")


def test_the_calendar_opens_at_the_month_that_is_shown(early: Early) -> None:
    page, hold = early
    assert page.page.locator("#screens").get_attribute("aria-busy") == "true"
    page.page.keyboard.press("c")
    hold.let_go()
    page.until(lambda: page.text("#calendar-title") == "October 2025")


def test_a_day_back_is_a_day_before_what_is_shown(early: Early, footage: dict[str, Footage]) -> None:
    page, hold = early
    page.page.locator("#day-back").click()
    hold.let_go()
    page.until(lambda: page.text("#day") == "2025-10-25")


def test_play_plays_what_is_shown(early: Early, footage: dict[str, Footage]) -> None:
    page, hold = early
    page.page.keyboard.press("k")
    assert page.text("#word") == ""
    hold.let_go()
    page.until_painted(YARD, lambda us: us > footage[YARD].times_us[-1] - US)


def test_a_time_that_is_typed_is_shown_though_the_newest_was_asked_for_before(
    early: Early, footage: dict[str, Footage]
) -> None:
    page, hold = early
    type_time(page)
    hold.let_go()
    assert page.settle().painted(YARD) == footage[YARD].shown_at(TYPED_US)


def test_what_could_not_be_asked_is_not_called_unrecorded(page: PageDriver, footage: dict[str, Footage]) -> None:
    page.route("**/timeline?*", lambda route: route.fulfill(status=503, json={"message": "The disk is slow."}))
    page.page.goto(f"{page.url}#recorders={YARD}")
    page.until_said("The disk is slow.")
    page.unroute("**/timeline?*")
    page.until_painted(YARD, lambda us: us > footage[YARD].times_us[-1] - 2 * US)


def test_a_time_that_is_typed_is_shown_though_a_day_was_chosen_before(
    page: PageDriver, footage: dict[str, Footage]
) -> None:
    page.open_at(BASE_US + 5 * US, recorders=YARD)
    page.press("c")
    page.page.locator("#days button[data-recorded='some']").first.wait_for()
    hold = Hold(page, "**/timeline?*most=500*")
    page.page.locator("#days button[data-recorded='some']").first.click()
    hold.until_asked()
    type_time(page)
    hold.let_go()
    assert page.settle().painted(YARD) == footage[YARD].shown_at(TYPED_US)


def test_a_time_that_is_typed_is_shown_though_a_step_was_asked_for_before(
    page: PageDriver, footage: dict[str, Footage]
) -> None:
    page.open_at(BASE_US + 5 * US, recorders=YARD)
    hold = Hold(page, "**/frames?*")
    page.page.keyboard.press(".")
    hold.until_asked()
    type_time(page)
    hold.let_go()
    assert page.settle().painted(YARD) == footage[YARD].shown_at(TYPED_US)
