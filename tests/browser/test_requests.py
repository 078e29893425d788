"""A server that does not answer, or late: the page says so, asks again, and goes on when it answers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, Footage
from tests.support.recording import US
from tests.support.web_server import WebServer

DOOR = "front-door"
LIMIT_MS = 6000
"""Within that, a picture comes on a busy machine too."""
HEADER_MS = 400
MOST_TRIES = 40
"""To see what comes by chance, mostly within five."""
_ASK = """async ([ids, us, limit]) => {
  const { Api } = await import("./static/api.mjs");
  const { Pictures } = await import("./static/pictures.mjs");
  const said = [];
  const pictures = new Pictures(new Api(() => {}, (text) => said.push(text), limit));
  const asked = ids.map((id, number) => pictures.get(number, id, us, { width: 64 }));
  const found = await Promise.all(asked);
  return { said, found: found.map(({ error, captured_us }) => error?.message ?? captured_us) };
}"""

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


def test_pictures_that_never_come_keep_no_others(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    hung: list[Any] = []
    page.route("**/recorders/yard/frame.jpg*", lambda route: hung.append(route))
    answer = page.page.evaluate(_ASK, [["yard", "yard", DOOR], BASE_US + 7 * US, LIMIT_MS])
    late = f"The server did not answer within {LIMIT_MS // 1000} s. Is it busy, or the network slow?"
    assert answer["found"][:2] == [late, late]
    assert abs(answer["found"][2] - BASE_US - 7 * US) < 2 * US
    assert set(answer["said"]) == {f"The server has not answered for {LIMIT_MS // 1000} s. Asking again …"}
    assert len(hung) == 4  # each was asked for twice


def test_a_picture_that_comes_at_the_second_time_is_shown(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    hung: list[Any] = []
    page.route("**/recorders/yard/frame.jpg*", lambda route: route.continue_() if hung else hung.append(route))
    answer = page.page.evaluate(_ASK, [["yard"], BASE_US + 7 * US, LIMIT_MS])
    assert abs(answer["found"][0] - BASE_US - 7 * US) < 2 * US
    assert len(answer["said"]) == 1


def test_video_goes_on_by_itself_when_the_server_answers_again(page: PageDriver, footage: dict[str, Footage]) -> None:
    us = BASE_US + 17 * US
    page.route("**/hls/**", lambda route: route.abort())
    page.open_at(us, recorders=DOOR)
    page.until(lambda: "the server does not answer. Trying again …" in page.message(DOOR))
    page.unroute("**/hls/**")
    assert page.until_painted(DOOR, lambda painted: painted > 0) == footage[DOOR].shown_at(us)
    assert not page.is_told(DOOR)


@pytest.mark.parametrize("playing", [False, True], ids=["at rest", "while it plays"])
def test_the_moment_that_was_asked_for_is_shown_when_the_server_answers_again(
    page: PageDriver, footage: dict[str, Footage], playing: bool
) -> None:
    us = BASE_US + 17 * US
    page.open_at(us, recorders=DOOR)
    page.until_painted(DOOR, lambda painted: painted == footage[DOOR].shown_at(us))
    if playing:
        page.press("k")
    page.route("**/hls/**", lambda route: route.abort())
    later_us = BASE_US + 3600 * US + 10 * US  # not in what is loaded
    page.page.evaluate(f"location.hash = 'at={iso(later_us)}'")
    page.until(lambda: "the server does not answer. Trying again …" in page.message(DOOR))
    page.unroute("**/hls/**")
    shown_us = page.until_painted(DOOR, lambda painted: not page.is_told(DOOR))
    assert 0 <= shown_us - footage[DOOR].shown_at(later_us) < (10 * US if playing else 1)


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


def fail_first_header(page: PageDriver, after_ms: float = 0) -> list[str]:
    """Let the first header that is asked for fail. Returns which has: one more fails when it is cleared."""
    failed: list[str] = []

    def answer(route: Any) -> None:
        if is_header(route.request) and not failed:
            failed.append(route.request.url)
            page.page.wait_for_timeout(after_ms)
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
    failed = fail_first_header(page, after_ms=3)  # just when its piece comes, as happens by chance
    for _ in range(MOST_TRIES):
        failed.clear()
        starts = page.page.evaluate(_GO_LIVE)
        assert starts, "no new picture came"
        assert failed
        if starts > 1:
            return
    pytest.fail(f"Live began {MOST_TRIES} times with a header that failed, and never had to begin again.")


@pytest.mark.parametrize("way", ["refused", "no answer"])
def test_a_picture_instead_of_video_that_failed_is_asked_for_again(
    page: PageDriver, footage: dict[str, Footage], way: str
) -> None:
    def fail(route: Any) -> None:
        if way == "refused":
            route.fulfill(status=503, json={"error": "busy", "message": "Too many pictures are asked for."})
        else:
            route.abort()

    page.route("**/static/vendor/**", lambda route: route.fulfill(status=404))
    us = BASE_US + 17 * US
    page.route("**/frame.jpg*", fail)
    page.open_at(us, recorders=DOOR)
    said = "Too many pictures are asked for." if way == "refused" else "The server does not answer."
    page.until(lambda: said in page.message(DOOR) and "Trying again …" in page.message(DOOR))
    page.unroute("**/frame.jpg*")
    assert page.until_painted(DOOR, lambda painted: painted > 0) == footage[DOOR].shown_at(us)
    assert "lacks hls.js" in page.message(DOOR) and "Trying again" not in page.message(DOOR)


def test_a_small_picture_that_failed_is_asked_for_again(page: PageDriver) -> None:
    refused: list[str] = []

    def refuse(route: Any) -> None:
        refused.append(route.request.url)
        route.fulfill(status=503, json={"error": "busy", "message": "Too many pictures are asked for."})

    view = BASE_US, BASE_US + 100 * US
    page.open_at(sum(view) // 2, span_s=100, recorders="yard")
    page.route("**/frame.jpg*", refuse)
    page.page.mouse.move(page.lane_x(BASE_US + 30 * US, *view), page.lane_y())
    page.until(lambda: refused)
    page.unroute("**/frame.jpg*")
    captured = page.until(lambda: page.page.locator("#hover-picture").get_attribute("data-captured"))
    assert abs(int(captured) - BASE_US - 30 * US) < 2 * US


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


def test_a_stretch_to_which_frames_may_still_come_is_shown_also_if_it_lies_in_the_past(
    page: PageDriver, footage: dict[str, Footage]
) -> None:
    """As one before all that is recorded, when recording has just begun."""

    def lead(route: Any) -> None:
        address = f"{route.request.url}&parts_us={BASE_US}&wholes=0"
        playlist = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-STREAM-INF:BANDWIDTH=2000000\n{address}\n"
        if "wholes=" in route.request.url:
            route.continue_()
        else:
            route.fulfill(body=playlist, content_type="application/vnd.apple.mpegurl")

    page.route("**/index.m3u8*", lead)
    us = BASE_US + 17 * US
    page.open_at(us, recorders=DOOR)
    assert page.painted(DOOR) == footage[DOOR].shown_at(us)
    page.open_at(BASE_US - 3600 * US, recorders=DOOR)
    assert "Nothing was recorded at" in page.message(DOOR)


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


class Stalling:
    """A way to a server on which the first piece of video stops half way, and nothing tells so."""

    def __init__(self, server: WebServer) -> None:
        self.port = urlsplit(server.url).port or 0
        self.stalled: list[bytes] = []
        self.ended = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        """Until the end."""
        with contextlib.suppress(OSError):
            while True:
                viewer, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(viewer,), daemon=True).start()

    def serve(self, viewer: socket.socket) -> None:
        """One request of each connection."""
        with viewer, contextlib.suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                if not (some := viewer.recv(65536)):
                    return
                asked += some
            head, _, rest = asked.partition(b"\r\n\r\n")
            lines = [one for one in head.split(b"\r\n") if not one.lower().startswith(b"connection:")]
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + rest)
                answer = b""
                while some := server.recv(65536):
                    answer += some
            is_piece = b"/hls/" in lines[0] and b".mp4" in lines[0] and b"bytes=0-" not in head
            if is_piece and not self.stalled:
                self.stalled.append(lines[0])
                viewer.sendall(answer[: len(answer) // 2])
                self.ended.wait()
            else:
                viewer.sendall(answer)

    def close(self) -> None:
        """End what stands still."""
        self.ended.set()
        self.listener.close()


def test_a_piece_that_stops_half_way_is_asked_for_again_before_the_page_gives_up(
    open_page: Callable[..., PageDriver], server: WebServer, footage: dict[str, Footage]
) -> None:
    us = BASE_US + 17 * US
    with contextlib.closing(Stalling(server)) as way:
        page = open_page(way.url)
        page.page.goto(f"{page.url}#at={iso(us)}&recorders={DOOR}")
        page.until(lambda: way.stalled)
        page.until_painted(DOOR, lambda painted: painted == footage[DOOR].shown_at(us))
        assert sum("index.m3u8" in url for url in page.asked) == 1  # it did not have to begin again


_SLOW = """async (isMoving) => {
  const [{ unstalled }, { default: Hls }] = await Promise.all(
    ["stalls", "vendor/hls"].map((name) => import(`./static/${name}.mjs`)));
  let asked = 0;
  class Begun extends Hls.DefaultConfig.loader {
    loadInternal() {
      asked += 1;
      this.stats.loading.first = performance.now();
    }
  }
  const Loader = unstalled(Begun, 1000);
  const loader = new Loader({});
  const context = { url: "piece", responseType: "arraybuffer" };
  loader.load(context, { loadPolicy: Hls.DefaultConfig.fragLoadPolicy.default }, {});
  for (let looks = 0; looks < 300 && (isMoving ? looks < 60 : asked < 2); looks += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (isMoving) loader.stats.loaded += 1;
  }
  loader.destroy();
  return asked;
}"""
"""Loads what has begun to come, and goes on slowly or does not. Returns how often it was asked for."""


def test_what_comes_slowly_is_not_asked_for_again(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    assert page.page.evaluate(_SLOW, True) == 1
    assert page.page.evaluate(_SLOW, False) == 2
