"""A page whose computer was asleep."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.browser.driver import PageDriver
from tests.browser.footage import BASE_US
from tests.support.recording import US
from tests.support.web_server import WebServer

ASLEEP_S = 30


@contextmanager
def asleep() -> Iterator[None]:
    """No process of the browser runs."""
    stopped = [one for one in psutil.Process().children(recursive=True) if "chrom" in one.name()]
    assert stopped
    for one in stopped:
        one.suspend()
    try:
        yield
    finally:
        for one in stopped:
            one.resume()


@pytest.mark.parametrize("how", ["a growing range", "live"])
def test_what_played_when_the_computer_fell_asleep_goes_on(
    open_page: Callable[..., PageDriver], live_server: WebServer, how: str
) -> None:
    """Chromium has what it needs then, and waits for it."""
    page = open_page(live_server).open()
    us = page.until_painted("porch", lambda us: us > 0)
    if how != "live":
        page = open_page(live_server).open_at(us)
        page.press("k")
        us = page.until_painted("porch", lambda painted: painted > us + US)
    with asleep():
        time.sleep(ASLEEP_S)
    if how == "live":
        woke_us = time.time_ns() // 1000
        page.until_painted("porch", lambda painted: painted > woke_us)
    else:
        assert page.until_painted("porch", lambda painted: painted > us) < us + 5 * US, "something was left out"
        page.until_painted("porch", lambda painted: painted > us + 15 * US)
    assert page.page.locator("#play").inner_text() == "Pause"


def test_what_waits_says_where_it_goes_on(page: PageDriver) -> None:
    asked_us = BASE_US - 123_457 + 5 * US
    page.open_at(asked_us, recorders="yard")
    page.press("k")
    page.until_painted("yard", lambda us: us > asked_us + 4 * US)
    work = page.screen("yard").locator(".work")

    def is_told() -> bool:
        if work.is_hidden():
            page.screen("yard").locator("video").evaluate("(one) => void one.dispatchEvent(new Event('waiting'))")
            page.page.wait_for_timeout(1000)
        return work.is_visible()

    page.until(is_told)
    told = re.fullmatch(r"Loading 02:(\d\d):(\d\d) …", work.inner_text())
    assert told and int(told[1]) * 60 + int(told[2]) >= 10 * 60 + 9
