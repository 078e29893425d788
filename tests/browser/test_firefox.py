"""The page in Firefox: the painted clock of what is sought, of a gap's ends, and live."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator

import numpy
import pytest
from PIL import Image

from scripts.fakes.paint import read_paint
from tests.browser.driver import GRAB, iso
from tests.browser.firefox import PROGRAM, Firefox, run_firefox
from tests.browser.footage import BASE_US, GAP_US, Footage
from tests.support.recording import US
from tests.support.web_server import WebServer

DOOR = "front-door"
WITHIN_S = 120.0


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    if PROGRAM is None:
        pytest.skip("Firefox is not installed")
    with run_firefox(tmp_path_factory.mktemp("firefox")) as firefox:
        yield firefox


def painted(firefox: Firefox) -> int | None:
    content = firefox.evaluate(f"({GRAB})(document.querySelector('figure.screen'))")
    if content is None:
        return None
    frame = read_paint(numpy.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("L")), (640, 360))
    return frame.captured_us if frame else None


def until_painted(firefox: Firefox, due_us: range) -> int:
    deadline = time.monotonic() + WITHIN_S
    while (us := painted(firefox)) is None or us not in due_us:
        assert time.monotonic() < deadline, (us, firefox.evaluate("document.body.innerText"))
        time.sleep(0.1)
    return us


def stamp(firefox: Firefox) -> str:
    return str(firefox.evaluate("document.querySelector('.stamp .utc').innerText"))


def utc(us: int) -> str:
    return f"{iso(us)[:-4].replace('T', ' ')} UTC"


def open_at(firefox: Firefox, server: WebServer, us: int) -> None:
    firefox.goto(f"{server.url}#at={iso(us)}&recorders={DOOR}")
    firefox.until("document.querySelector('#screens[aria-busy=false] figure.screen') !== null")


def test_each_moment_shows_its_frame(firefox: Firefox, server: WebServer, footage: dict[str, Footage]) -> None:
    for after_s in (0.25, 9.98, 12.5, 19.999, 39.5, 100.003):
        us = BASE_US + round(after_s * US)
        open_at(firefox, server, us)
        due_us = footage[DOOR].shown_at(us)
        until_painted(firefox, range(due_us, due_us + 1))
        assert stamp(firefox) == utc(due_us), after_s


def test_frames_are_stepped_both_ways(firefox: Firefox, server: WebServer, footage: dict[str, Footage]) -> None:
    us = footage[DOOR].shown_at(BASE_US + 19 * US)
    open_at(firefox, server, us)
    for key, due_us in ((".", footage[DOOR].after(us)), (",", us), (",", footage[DOOR].shown_at(us - 1))):
        firefox.press(key)
        until_painted(firefox, range(due_us, due_us + 1))
        firefox.until("document.querySelector('#screens[aria-busy=false]') !== null")


def test_what_is_played_is_stamped_as_it_is_painted(firefox: Firefox, server: WebServer) -> None:
    open_at(firefox, server, BASE_US + 2 * US)
    firefox.press("k")
    until_painted(firefox, range(BASE_US + 4 * US, BASE_US + 40 * US))
    firefox.press("k")
    firefox.until("document.querySelector('video').paused")
    deadline = time.monotonic() + WITHIN_S
    while stamp(firefox) != utc(painted(firefox) or 0):  # a frame may still be on its way to the screen
        assert time.monotonic() < deadline, stamp(firefox)
        time.sleep(0.1)


def test_a_gap_is_told_and_skipped(firefox: Firefox, server: WebServer) -> None:
    open_at(firefox, server, sum(GAP_US) // 2)
    firefox.until("document.querySelector('.message').innerText.includes('Nothing was recorded at 02:10:55')")
    assert painted(firefox) is None
    open_at(firefox, server, GAP_US[0] - 2 * US)
    firefox.press("k")
    until_painted(firefox, range(GAP_US[1], GAP_US[1] + 20 * US))


def test_live_is_seconds_behind(firefox: Firefox, live_server: WebServer) -> None:
    began_us = time.time_ns() // 1000
    firefox.goto(live_server.url)
    firefox.until("document.querySelector('figure.screen') !== null")
    until_painted(firefox, range(began_us, began_us + 600 * US))
    assert firefox.evaluate("document.querySelector('.note').innerText").startswith("live")
