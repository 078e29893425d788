"""Video that stops half way through a piece is asked for again; what comes slowly is not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, Footage
from tests.support.recording import US
from tests.support.web_server import WebServer

DOOR = "front-door"


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
