"""Requests of live video that are answered late, in part or not at all: it begins all the same, and goes on."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US
from tests.support.recording import US
from tests.support.web_server import WebServer

HEADER_MS = 400
"""So much later each header comes than it would."""
MOST_TRIES = 40
"""To see what comes by chance, mostly within five."""
MOST_STARTS = 400
"""Of live in a page that is open, of which one takes a seventh of a second. Mostly one of nine is enough."""

_GO_LIVE = """async () => {
  const [{ Api }, { Player }, { default: Hls }] = await Promise.all(
    ["api", "player", "vendor/hls"].map((name) => import(`./static/${name}.mjs`)));
  const now = () => Date.now() * 1000;
  const video = Object.assign(document.createElement("video"), { muted: true });
  document.body.append(video);
  const context = { api: new Api(() => {}, () => {}), Hls, now, stillMs: Infinity };
  const player = new Player({ id: "porch" }, video, context);
  const sinceUs = now() - 10e6;
  const isShown = new Promise((resolve) => {
    player.addEventListener("frame", () => player.capturedUs > sinceUs && resolve(true));
  });
  player.live().then(() => player.play(1));
  const isNew = await Promise.race([isShown, new Promise((resolve) => setTimeout(resolve, 60e3))]);
  const { edge: { starts }, trouble } = player;
  player.close();
  return isNew && !trouble ? starts : 0;
}"""
"""Returns how often live was begun until it showed a new picture; 0 if it never did, or gave up before."""


def test_a_piece_of_what_grows_that_is_refused_is_told_and_not_left_out(
    open_page: Callable[..., PageDriver], live_server: WebServer
) -> None:
    page = open_page(live_server).open()
    us = page.until_painted("porch", lambda us: us > 0)
    page.route("**/hls/*/*.mp4*", lambda route: route.fulfill(status=404, body="{}"))
    page.page.goto("about:blank")
    page.page.goto(f"{page.url}#at={iso(us)}")
    page.until(lambda: "the server answered 404" in page.message("porch"))
    page.unroute("**/hls/*/*.mp4*")
    page.until_painted("porch", lambda painted: abs(painted - us) < US)


def delay_headers(page: PageDriver) -> None:
    """Let all headers of files come later than the pieces behind them, as by chance in a slow network."""

    def answer(route: Any) -> None:
        if is_header(route.request):
            page.page.wait_for_timeout(HEADER_MS)
        route.continue_()

    page.route("**/hls/*/*.mp4*", answer)


def is_header(request: Any) -> bool:
    return str(request.headers.get("range", "")).startswith("bytes=0-")


def begin_live(page: PageDriver) -> int:
    """Open the page and wait for a new picture. Returns how many headers it had ceased to load."""
    ended: list[bool] = []
    page.page.on("requestfailed", lambda request: ended.append(is_header(request)))
    delay_headers(page)
    since_us = time.time_ns() // 1000 - 10 * US
    page.page.goto(page.url)
    page.until_painted("porch", lambda us: us > since_us)
    assert all(ended), "it ceased to load a piece, and waited for it"
    return len(ended)


def test_live_begins_at_once_though_it_goes_back_before_its_header_has_come(
    open_page: Callable[..., PageDriver], seldom_keyed: WebServer
) -> None:
    early = 0
    for _ in range(MOST_TRIES):
        page = open_page(seldom_keyed)
        early += begin_live(page) > 0
        page.close()
        if early == 3:
            return
    pytest.fail(f"Live began {MOST_TRIES} times, of which it went back before its header had come only {early} times.")


def fail_first_header(page: PageDriver, *after_ms: float) -> list[str]:
    """Let the first header that is asked for fail, each time after another time. Returns which has: one more fails when
    it is cleared."""
    failed: list[str] = []
    delays_ms = itertools.cycle(after_ms or (0,))

    def answer(route: Any) -> None:
        if is_header(route.request) and not failed:
            failed.append(route.request.url)
            page.page.wait_for_timeout(next(delays_ms))
            route.abort()
        else:
            route.continue_()

    page.route("**/hls/*/*.mp4*", answer)
    return failed


def most_loads(page: PageDriver) -> int:
    """Open the page, let the first header fail, and count how often one piece is asked for."""
    failed = fail_first_header(page)
    page.page.goto(page.url)
    page.until(lambda: failed)
    page.page.wait_for_timeout(1500)
    return max(Counter(url for url in page.asked if ".mp4?" in url).values(), default=0)


def test_live_whose_header_failed_loads_no_piece_without_end(
    open_page: Callable[..., PageDriver], seldom_keyed: WebServer
) -> None:
    most = 0
    for _ in range(MOST_TRIES):  # it may begin with a keyframe, or its piece has come before the header failed
        page = open_page(seldom_keyed)
        most = most_loads(page)
        page.close()
        if most >= 3:
            break
    assert most >= 3, f"Live began {MOST_TRIES} times, and never asked three times for a piece whose header failed."
    assert most < 6


def test_live_whose_header_failed_begins_again_if_nothing_comes_before_what_has_no_keyframe(
    open_page: Callable[..., PageDriver], seldom_keyed: WebServer
) -> None:
    page = open_page(seldom_keyed).open()
    page.until_painted("porch", lambda us: us > 0)  # something is recorded
    page.open(at=iso(BASE_US))
    failed = fail_first_header(page, 0, 3, 6, 10)  # just when its piece comes, as happens by chance
    for _ in range(MOST_STARTS):
        failed.clear()
        starts = page.page.evaluate(_GO_LIVE)
        assert starts, "no new picture came"
        assert failed
        if starts > 1:
            return
    pytest.fail(f"Live began {MOST_STARTS} times with a header that failed, and never had to begin again.")


def test_a_page_that_was_opened_while_nothing_was_recorded_goes_live(
    open_page: Callable[..., PageDriver], live_server: WebServer
) -> None:
    page = open_page(live_server)

    def pause(route: Any) -> None:
        known = route.fetch().json()
        route.fulfill(json={**known, "recorders": [{**one, "live": False} for one in known["recorders"]]})

    page.route("**/api/recorders", pause)
    page.open()
    page.until(lambda: page.painted("porch"))
    assert page.text("#play") == "Play"
    page.unroute("**/api/recorders")
    page.until(lambda: "live" in page.screen("porch").locator(".note").inner_text())


def test_live_begins_by_itself_when_something_is_recorded(
    open_page: Callable[..., PageDriver], live_server: WebServer
) -> None:
    page = open_page(live_server)
    empty = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n"
    page.route("**/index.m3u8*", lambda route: route.fulfill(body=empty, content_type="application/vnd.apple.mpegurl"))
    page.open(live="1")
    page.until(lambda: "Nothing is being recorded at present." in page.message("porch"))
    page.unroute("**/index.m3u8*")
    assert page.until_painted("porch", lambda us: us > 0)
    page.until(lambda: "live" in page.screen("porch").locator(".note").inner_text())


def test_live_that_shows_nothing_though_it_is_recorded_is_told(
    open_page: Callable[..., PageDriver], live_server: WebServer
) -> None:
    page = open_page(live_server).open()
    told = page.page.evaluate(
        """async () => {
          const [{ Api }, { Player }, { default: Hls }] = await Promise.all(
            ["api", "player", "vendor/hls"].map((name) => import(`./static/${name}.mjs`)));
          const now = () => Date.now() * 1000;
          const video = Object.assign(document.createElement("video"), { muted: true });
          const context = { api: new Api(() => {}, () => {}), Hls, now, stillMs: 4000 };
          const player = new Player({ id: "porch" }, video, context);
          await player.live();  // and nothing plays it
          await new Promise((resolve) => player.addEventListener("state", () => player.trouble && resolve()));
          return player.trouble;
        }"""
    )
    assert told == {"text": "no picture has come for 4 s", "passes": True}


def test_a_playlist_that_has_grown_long_is_told(open_page: Callable[..., PageDriver], live_server: WebServer) -> None:
    page = open_page(live_server).open()
    is_long = page.page.evaluate(
        """async () => {
          const [{ Api }, { Player }, { default: Hls }] = await Promise.all(
            ["api", "player", "vendor/hls"].map((name) => import(`./static/${name}.mjs`)));
          const now = () => Date.now() * 1000;
          const video = Object.assign(document.createElement("video"), { muted: true });
          const context = { api: new Api(() => {}, () => {}), Hls, now, longestUs: 4e6 };
          const player = new Player({ id: "porch" }, video, context);
          const told = new Promise((resolve) => player.addEventListener("long", () => resolve(true)));
          await player.show(now() - 3e6);
          return told.finally(() => player.close());
        }"""
    )
    assert is_long


def test_live_goes_on_by_itself_after_pieces_that_were_cut_off(
    open_page: Callable[..., PageDriver], live_server: WebServer
) -> None:
    page = open_page(live_server).open(live="1")
    page.until_painted("porch", lambda us: us > 0)
    is_over: list[bool] = []

    def cut_off(route: Any) -> None:
        if is_over or is_header(route.request):
            route.continue_()
            return
        whole = route.fetch()
        headers = {name: value for name, value in whole.headers.items() if name != "content-length"}
        route.fulfill(status=whole.status, headers=headers, body=whole.body()[: len(whole.body()) // 2])

    page.route("**/hls/*/*.mp4*", cut_off)
    page.until(lambda: "the answer of the server was cut off. Trying again …" in page.message("porch"))
    is_over.append(True)
    since_us = time.time_ns() // 1000
    page.until_painted("porch", lambda us: us > since_us)


def test_live_whose_video_never_comes_shows_single_pictures_until_it_does(
    open_page: Callable[..., PageDriver], live_server: WebServer
) -> None:
    page = open_page(live_server).open(live="1")
    page.until_painted("porch", lambda us: us > 0)
    held: list[Any] = []
    is_over: list[bool] = []
    page.route("**/hls/*/*.mp4*", lambda route: route.continue_() if is_over else held.append(route))
    page.until(lambda: "The video stands still. Single pictures are shown" in page.message("porch"))
    for _ in range(2):
        since_us = time.time_ns() // 1000
        page.until_painted("porch", lambda us, since_us=since_us: us > since_us)  # type: ignore[misc]
    is_over.append(True)
    canvas = page.screen("porch").locator("canvas.still")
    page.until(lambda: not canvas.is_visible())
    since_us = time.time_ns() // 1000
    page.until_painted("porch", lambda us: us > since_us)
    assert page.message("porch") == ""
