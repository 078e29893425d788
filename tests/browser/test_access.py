"""The password of the page, with the guard that asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, Footage, being_recorded
from tests.support.guarded_server import PASSWORD
from tests.support.recording import US
from tests.support.web_server import WebServer, run_web
from videostore.config import WebConfig
from videostore.web.attempts import BURST
from videostore.web.guard import Guard
from videostore.web.password import Password
from videostore.web.recorders import RecorderPlace

YARD = "yard"
SHOWN_US = BASE_US - 123_457 + 17 * US
BEHIND_S = 12, 55
LINK = f"#at=2025-10-26T00:10:17Z&recorders={YARD}"


@pytest.fixture
def locked(footage: dict[str, Footage]) -> Iterator[WebServer]:
    """A server that wants a password; it counts the wrong ones of one test."""
    access = WebConfig("127.0.0.1", 0, None, "ANY", ())
    with run_web([RecorderPlace(YARD, footage[YARD].directory)], Guard(access, Password(PASSWORD))) as server:
        yield server


@pytest.fixture
def page(open_page: Callable[..., PageDriver], locked: WebServer) -> PageDriver:
    """A page that was opened by a link to a moment."""
    page = open_page(locked)
    page.page.goto(f"{page.url}{LINK}")
    page.page.locator("#login[open]").wait_for()
    return page


def give(page: PageDriver, password: str) -> None:
    page.page.locator("#password").fill(password)
    page.page.keyboard.press("Enter")


def test_the_link_shows_its_moment_after_the_log_in_and_after_the_log_out(
    page: PageDriver, footage: dict[str, Footage]
) -> None:
    assert page.page.locator("figure.screen").count() == 0
    page.page.keyboard.press("Escape")
    assert page.page.locator("#login[open]").count() == 1
    give(page, "not the secret word")
    page.until(lambda: "wrong" in page.text("#login-error"))
    give(page, PASSWORD)
    page.page.wait_for_selector("figure.screen")
    page.settle()
    shown = footage[YARD].shown_at(SHOWN_US)
    assert page.until_painted(YARD, lambda us: us == shown)
    page.page.reload()
    page.page.wait_for_selector("figure.screen")  # the session goes on
    page.page.locator("#log-out").click()
    page.page.locator("#login[open]").wait_for()
    assert page.page.locator("figure.screen").count() == 0
    give(page, PASSWORD)
    page.page.wait_for_selector("figure.screen")
    page.settle()
    assert page.until_painted(YARD, lambda us: us == shown)


def test_one_who_guesses_has_to_wait(page: PageDriver) -> None:
    for number in range(BURST):
        with page.page.expect_response("**/api/session") as answer:
            give(page, f"a guess of mine {number}")
        assert answer.value.status == 401
    give(page, PASSWORD)
    page.until(lambda: "Too many wrong passwords were sent. Try again in" in page.text("#login-error"))
    assert page.page.locator("figure.screen").count() == 0


def test_a_session_that_ends_is_asked_for_again_and_what_was_shown_stays(page: PageDriver, locked: WebServer) -> None:
    give(page, PASSWORD)
    page.page.wait_for_selector("figure.screen")
    page.settle()
    shown = page.until_painted(YARD, lambda us: us > 0)
    page.page.context.clear_cookies()
    page.page.locator("#login[open]").wait_for()
    give(page, PASSWORD)
    page.page.locator("#login").wait_for(state="hidden")
    page.press(".")
    assert page.until_painted(YARD, lambda us: us > shown)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A server that wants a password, over a directory that is recorded to for longer than a player loads at once."""
    access = WebConfig("127.0.0.1", 0, None, "ANY", ())
    with (
        being_recorded(tmp_path_factory.mktemp("grown")) as directory,
        run_web([RecorderPlace("porch", directory)], Guard(access, Password(PASSWORD))) as server,
    ):
        [recorder] = server.recorders

        async def recorded_s() -> float:
            ranges = (await (await recorder.store()).state()).ranges
            return (ranges[-1].to_us - ranges[0].from_us) / US if ranges else 0

        while server.run(recorded_s()) < BEHIND_S[-1] + 5:
            time.sleep(1)
        yield server


def test_what_a_session_that_ended_refused_comes_at_once_after_the_log_in(
    open_page: Callable[..., PageDriver], grown: WebServer
) -> None:
    page = open_page(grown)
    page.page.goto(page.url)
    page.page.locator("#login[open]").wait_for()
    give(page, PASSWORD)
    page.until_painted("porch", lambda us: us > 0)
    for behind_s in BEHIND_S:
        us = time.time_ns() // 1000 - behind_s * US
        page.page.context.clear_cookies()
        page.page.evaluate(f"location.hash = 'at={iso(us)}'")
        page.page.locator("#login[open]").wait_for()
        give(page, PASSWORD)
        page.page.locator("#login").wait_for(state="hidden")
        page.until_painted("porch", lambda painted, us=us: abs(painted - us) < 3 * US)  # type: ignore[misc]
        page.press(".")
        shown = page.painted("porch")
        page.page.context.clear_cookies()
        page.page.keyboard.press(".")
        page.page.locator("#login[open]").wait_for()
        give(page, PASSWORD)
        page.until_painted("porch", lambda painted, shown=shown: painted > shown)  # type: ignore[misc]


def test_what_is_refused_though_the_session_is_open_is_told(page: PageDriver) -> None:
    """As a request that was on its way before the log-in, or one that something else than this server refuses."""
    give(page, PASSWORD)
    page.page.wait_for_selector("figure.screen")
    page.settle()
    page.route(
        "**/api/recorders/*/days*",
        lambda route: route.fulfill(status=401, body="{}", content_type="application/json"),
    )
    page.page.locator("#day").click()
    page.until(lambda: "The server answered 401." in page.text("#calendar-text"))
    assert page.page.locator("#login[open]").count() == 0
