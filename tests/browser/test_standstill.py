"""A page whose computer was asleep."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.browser.driver import GRAB, PageDriver, iso, read_shown
from tests.browser.firefox import PROGRAM, run_firefox
from tests.browser.footage import BASE_US
from tests.browser.webkit import browser_path, run_webkit
from tests.support.recording import US
from tests.support.web_server import WebServer

ASLEEP_S = 30
PARTS = {"Chromium": ("chrom",), "Firefox": ("firefox",), "WebKit": ("MiniBrowser", "WebKitNetwork", "WebKitWebP")}


@contextmanager
def asleep(name: str = "Chromium") -> Iterator[None]:
    """No process of the browser runs."""
    children = psutil.Process().children(recursive=True)
    parts = [one for one in children if any(part in one.name() for part in PARTS[name])]
    stopped = list({each.pid: each for one in parts for each in (one, *one.children(recursive=True))}.values())
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


@pytest.mark.parametrize("name", ["Firefox", "WebKit"])
def test_a_range_goes_on_where_it_was_in_other_browsers(live_server: WebServer, tmp_path: Path, name: str) -> None:
    """WebKit has what it needs and stands still; Firefox leaves out as much as it was asleep."""
    binary = browser_path() if name == "WebKit" else PROGRAM
    if binary is None:
        pytest.skip(f"{name} is not installed")
    running = run_webkit(Path(binary), tmp_path) if name == "WebKit" else run_firefox(tmp_path)
    while len(live_server.get("api/recorders/porch/frames?from=-15s&to=now").json["frames_us"]) < 100:
        time.sleep(0.5)
    with running as browser:

        def until_painted(due: Callable[[int], bool]) -> int:
            deadline = time.monotonic() + 60
            while True:
                us = read_shown(browser.evaluate(f"({GRAB})(document.querySelector('figure.screen'))")).painted_us
                if us is not None and due(us):
                    return us
                assert time.monotonic() < deadline, (us, browser.evaluate("document.body.innerText"))
                time.sleep(0.1)

        browser.goto(f"{live_server.url}#at={iso(time.time_ns() // 1000 - 8 * US)}")
        browser.until("document.querySelector('#screens[aria-busy=false] figure.screen') !== null")
        us = until_painted(lambda us: us > 0)
        browser.press("k")
        us = until_painted(lambda painted: painted > us + US)
        with asleep(name):
            time.sleep(ASLEEP_S)
        time.sleep(4)  # within which it has gone on, or back
        until_painted(lambda painted: us < painted < us + 15 * US)
        until_painted(lambda painted: painted > us + 15 * US)
