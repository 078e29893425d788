"""Drives the page in Chromium as a person does, and reads the painted clock off the picture that it shows."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import numpy
from PIL import Image
from playwright.sync_api import Error, Locator, Page, Response, Route

from scripts.fakes.paint import read_paint
from tests.support.recording import US

WITHIN_S = 60.0
"""What takes longer on a busy machine hangs."""

GRAB = """(figure) => {
  const stamp = figure.querySelector(".stamp").innerText;
  const scrubbed = figure.querySelector(".scrubbed:not([hidden])");
  const still = scrubbed ?? figure.querySelector(".still:not([hidden])");
  const video = figure.querySelector("video");
  const source = still ?? video;
  const [width, height] = still ? [still.width, still.height] : [video.videoWidth, video.videoHeight];
  if (!width || (!scrubbed && figure.dataset.empty === "true")) return [null, stamp];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(source, 0, 0);
  return canvas.convertToBlob().then((blob) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve([reader.result.split(",")[1], stamp]);
    reader.readAsDataURL(blob);
  }));
}"""
"""What a figure shows, whichever element shows it, at its own size: a PNG in base64; and what is written beside it at
that moment."""
_LISTEN = """document.addEventListener("DOMContentLoaded", () => {
  window.saidWords = [];
  const word = document.getElementById("word");
  const note = () => word.textContent && saidWords.push(word.textContent);
  if (word) new MutationObserver(note).observe(word, { childList: true, characterData: true, subtree: true });
});"""
"""Notes what the page says for a moment."""
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC")
T = TypeVar("T")


class Shown(NamedTuple):
    """What a screen shows at one moment. Times in microseconds."""

    painted_us: int | None
    """The capture time that is painted into the picture; None if there is none."""
    stamp: str
    """What is written beside it."""

    @property
    def stamp_us(self) -> int:
        """The capture time that is written there, to the millisecond."""
        found = _STAMP.search(self.stamp)
        assert found, self.stamp
        moment = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)
        return round(moment.timestamp() * 1000) * 1000

    @property
    def is_true(self) -> bool:
        """Whether the time that is written is that of the picture."""
        return self.painted_us is not None and self.stamp_us == self.painted_us // 1000 * 1000


def read_shown(grabbed: tuple[str | None, str]) -> Shown:
    """What `GRAB` has found."""
    content, stamp = grabbed
    if content is None:
        return Shown(None, stamp)
    picture = Image.open(io.BytesIO(base64.b64decode(content))).convert("L")
    frame = read_paint(numpy.asarray(picture), (640, 360))
    return Shown(frame.captured_us if frame else None, stamp)


_PROBE = "**/intercepted"
_IS_INTERCEPTED = "(url) => fetch(url).then(({ status }) => status === 204, () => false)"


class PageDriver:
    """One page of the server."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.problems: list[str] = []
        page.set_default_timeout(WITHIN_S * 1000)
        page.add_init_script(_LISTEN)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("response", self._note)
        self.asked: list[str] = []
        self.refused: list[str] = []
        self._is_over = False

    def _note(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append(f"{response.status} {response.url}")

    def open(self, **words: str) -> PageDriver:
        """Open the page. `words` are those of its address: `at`, `from_`, `to`, `recorders`, `live` …"""
        fragment = urlencode({name.rstrip("_"): value for name, value in words.items()}, safe=":,")
        if self.page.url.startswith(self.url):
            # Otherwise nothing is loaded, and what the page shows is what it showed before, for a moment.
            self.page.goto("about:blank")
        self.page.goto(f"{self.url}#{fragment}" if fragment else self.url)
        self.page.wait_for_selector("figure.screen")
        return self.settle()

    def open_at(self, us: int, span_s: float = 300, **words: str) -> PageDriver:
        """Open the page at a moment, with so much on the lanes around it."""
        half = round(span_s * US / 2)
        return self.open(at=iso(us), from_=iso(us - half), to=iso(us + half), **words)

    def route(self, pattern: str, answer: Callable[[Route], object]) -> None:
        """Answer the requests of one kind in the place of the server. The end of the page ends such an answer."""

        def answer_while_open(route: Route) -> None:
            try:
                answer(route)
            except Error:
                if not self._is_over:
                    raise

        self.page.route(pattern, answer_while_open)
        if self.page.url.startswith(self.url):
            self._until_intercepted()

    def _until_intercepted(self) -> None:
        """Wait until an open page asks nothing past its routes: Chromium goes on before the page knows of them."""
        self.page.route(_PROBE, lambda route: route.fulfill(status=204))
        self.until(lambda: self.page.evaluate(_IS_INTERCEPTED, f"{self.url}{_PROBE.removeprefix('**/')}"))
        self.page.unroute(_PROBE)

    def unroute(self, pattern: str) -> None:
        """Let the server answer them again."""
        self.page.unroute(pattern)

    def close(self) -> None:
        """End the page."""
        self._is_over = True
        self.page.close()

    def settle(self) -> PageDriver:
        """Wait until the page shows what it was asked for."""
        self.page.locator("#screens[aria-busy=false]").wait_for()
        return self

    def press(self, *keys: str) -> PageDriver:
        """Press keys, one after the other, and wait until each has done its work."""
        for key in keys:
            self.page.keyboard.press(key)
            self.settle()
        return self

    def type_time(self, text: str) -> PageDriver:
        """Type a time, as after the key T."""
        self.page.keyboard.press("t")
        self.page.locator("#time").fill(text)
        self.page.keyboard.press("Enter")
        return self.settle()

    def screen(self, id: str) -> Locator:
        """The picture of a recorder with all that is on it."""
        return self.page.locator(f'figure.screen[data-recorder="{id}"]')

    def shown(self, id: str) -> Shown:
        """The picture of a recorder and what is written beside it, both at one moment."""
        return read_shown(self.screen(id).evaluate(GRAB))

    def painted(self, id: str) -> int | None:
        """The capture time that is painted into the shown picture; None if there is none."""
        return self.shown(id).painted_us

    def until_painted(self, id: str, due: Callable[[int], bool]) -> int:
        """Wait until a picture is shown whose painted time is due. Returns this time."""
        return self.until(lambda: (us := self.painted(id)) is not None and due(us) and us)

    def until_shown(self, id: str, due: Callable[[int], bool]) -> int:
        """Wait until a picture is shown whose painted time is due, with this time beside it. Returns the painted time.

        For what has come to rest: beside what plays the time of the frame before may stand for a moment."""
        last: list[Shown] = []

        def is_due() -> int | bool:
            last[:] = [self.shown(id)]
            [shown] = last
            return shown.is_true and shown.painted_us is not None and due(shown.painted_us) and shown.painted_us

        return self.until(is_due, tell=lambda: f"shown: {last}")

    def stamp_us(self, id: str) -> int:
        """The capture time that is written beside the picture, to the millisecond, in microseconds."""
        return Shown(None, " ".join(self.screen(id).locator(".stamp").all_inner_texts())).stamp_us

    def message(self, id: str) -> str:
        """What is said instead of a picture, or over it."""
        return self.screen(id).locator(".message").inner_text() if self.is_told(id) else ""

    def is_told(self, id: str) -> bool:
        """Whether something is said on a picture."""
        return self.screen(id).locator(".message").is_visible()

    def until_said(self, text: str) -> None:
        """Wait until the page says something for a moment, or has said it since the last of these waits: on a busy
        machine the moment may be over before it is looked for."""
        said: list[str] = []

        def is_said() -> bool:
            said[:] = self.page.evaluate("[...window.saidWords, document.getElementById('word').textContent]")
            return any(text in one for one in said)

        self.until(is_said, tell=lambda: f"said: {said}")
        self.page.evaluate("window.saidWords.length = 0")

    def text(self, selector: str) -> str:
        """The text of an element."""
        return self.page.locator(selector).inner_text()

    def lane_x(self, us: int, from_us: int, to_us: int) -> float:
        """Where a moment lies on the lanes, which show this stretch."""
        box = self.page.locator("#lanes").bounding_box()
        assert box
        return box["x"] + (us - from_us) / (to_us - from_us) * box["width"]

    def lane_y(self, number: int = 0, of: int = 1) -> float:
        """The height of a lane among so many."""
        box = self.page.locator("#lanes").bounding_box()
        assert box
        each = (box["height"] - 26) / of
        return box["y"] + 26 + each * number + each * 0.4

    def until(
        self,
        get: Callable[[], T | bool | None],
        within_s: float = WITHIN_S,
        tell: Callable[[], str] = lambda: "",
    ) -> T:
        """Ask until there is an answer. `tell` says what the last one was."""
        deadline = time.monotonic() + within_s
        while not (found := get()):
            assert time.monotonic() < deadline, (
                f"not reached within {within_s} s; {tell()} the page says:\n{self.text('body')}\n"
                f"refused: {self.refused[-5:]}"
            )
            self.page.wait_for_timeout(20)
        return found  # type: ignore[return-value]

    def downloaded(self, act: Callable[[], Any], directory: Path) -> Path:
        """The file that comes of an act."""
        with self.page.expect_download() as started:
            act()
        path = directory / started.value.suggested_filename
        started.value.save_as(path)
        return path


def iso(us: int) -> str:
    """A moment as addresses have it."""
    seconds, rest = divmod(us, US)
    return f"{datetime.fromtimestamp(seconds, tz=timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"
