"""Requests that tests keep for a while."""

from __future__ import annotations

from tests.browser.driver import PageDriver
from tests.browser.hold import Hold

ASK = "() => { window.given = new AbortController(); fetch('/frame.jpg', { signal: given.signal }).catch(() => 0); }"


def test_a_request_that_the_page_gives_up_while_it_is_kept_is_not_waited_for(page: PageDriver) -> None:
    page.open()
    hold = Hold(page, "**/frame.jpg")
    page.page.evaluate(ASK)
    hold.until_asked()
    with page.page.expect_event("requestfailed", lambda request: request.url.endswith("/frame.jpg")):
        page.page.evaluate("() => given.abort()")
    hold.let_go()
