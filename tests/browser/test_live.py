"""Live while what is recorded changes: what cannot be decoded, a clock that was set back, a recorder that ends."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, SIZE, being_recorded
from tests.support.recording import LOGGER, US, packet
from tests.support.web_server import WebServer, run_web
from videostore import VideoStore
from videostore.base.clock import SystemClock
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.packet import Gap, Packet
from videostore.web.playlists import TYPE
from videostore.web.recorders import RecorderPlace

CAMERA = "yard"
SEGMENT_S = 10.0
WITHIN_S = 60.0


class Recorder:
    """A recorder in a thread of its own, of a camera that paints its clock. It is started and ended by the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._store: VideoStore | None = None

    def start(self, codec: str = "libx264") -> None:
        """Record with an encoder."""
        self._store = VideoStore(
            CAMERA,
            StorageConfig(1, self.directory, self.directory.with_name("upload"), SEGMENT_S, None),
            binary=find_ffmpeg(),
            source=self,
            encoder=Encoder(codec, 1_000_000, "ultrafast", 20),
            clock=SystemClock(),
            logger=LOGGER,
        )
        self._run(self._store.start())

    def end(self) -> None:
        """Close the store, as at the end of a module."""
        if self._store is not None:
            self._run(self._store.close())
            self._store = None

    def close(self) -> None:
        """End all of it."""
        self.end()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN_S)

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        """An image each tenth of a second."""
        due = time.monotonic()
        while True:
            yield await asyncio.to_thread(packet, time.time_ns() // 1000, SIZE)
            due = max(due + 0.1, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    with contextlib.closing(Recorder(tmp_path / CAMERA)) as recorder:
        recorder.start()
        yield recorder


@pytest.fixture
def served(recorder: Recorder) -> Iterator[WebServer]:
    with run_web([RecorderPlace(CAMERA, recorder.directory)]) as server:
        yield server


def note(page: PageDriver) -> str:
    return page.screen(CAMERA).locator(".note").inner_text()


def until_live(page: PageDriver) -> int:
    """Wait until a picture is shown that was captured since now."""
    since_us = time.time_ns() // 1000
    return page.until_painted(CAMERA, lambda us: us > since_us)


def test_what_cannot_be_decoded_is_live_as_pictures_until_it_can(
    open_page: Callable[..., PageDriver], recorder: Recorder, served: WebServer
) -> None:
    page = open_page(served).open()
    if page.page.evaluate("MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L93.B0\"')"):
        pytest.skip("this Chromium decodes H.265")
    until_live(page)
    said: list[str] = []

    def is_said(words: str) -> bool:
        said.append(page.message(CAMERA))
        return words in said[-1]

    for _ in range(2):
        recorder.end()
        recorder.start("libx265")
        page.until(lambda: is_said("cannot decode H.265"))
        for _ in range(2):
            shown_us = until_live(page)
            assert abs(page.stamp_us(CAMERA) - shown_us) < 20 * US
            assert note(page).startswith("live")
        assert "Loading" not in page.screen(CAMERA).inner_text()
        recorder.end()
        recorder.start("libx264")
        page.until(lambda: not is_said("cannot decode") and page.screen(CAMERA).locator("canvas.still").is_hidden())
        until_live(page)
    # It went on at once, and not after the time in which a live stream that stands still is given up.
    assert [text for text in said if "does not play" in text] == []


@pytest.mark.parametrize("missing", ["hls.js", "Media Source Extensions"])
def test_a_browser_that_plays_nothing_shows_live_as_pictures(
    open_page: Callable[..., PageDriver], served: WebServer, missing: str
) -> None:
    page = open_page(served)
    if missing == "hls.js":
        page.route("**/static/vendor/**", lambda route: route.fulfill(status=404))
    else:
        page.page.add_init_script("for (const name of ['ManagedMediaSource', 'MediaSource']) delete window[name];")
    page.open(live="1")
    for _ in range(2):
        until_live(page)
        assert missing.split()[-1] in page.message(CAMERA)
        assert note(page).startswith("live")
    page.press("k")
    shown_us = page.painted(CAMERA)
    page.page.wait_for_timeout(4500)  # two looks of a page that is live
    assert page.painted(CAMERA) == shown_us


def growing(whole: str, from_s: int, to_s: int, sequence: int) -> str:
    """A playlist that grows, of some pieces of a whole one, each of a second."""
    found = re.split(r"(?=#EXT-X-PROGRAM-DATE-TIME)", whole)
    maps = [re.findall("#EXT-X-MAP.*\n", "".join(found[: number + 1]))[-1] for number in range(len(found) - 1)]
    pieces = [re.sub("#EXT-X-(DISCONTINUITY|MAP|ENDLIST).*\n", "", one) for one in found[1:]]
    head = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n"
    return head + "".join(f"{header}{one}" for header, one in list(zip(maps, pieces, strict=True))[from_s:to_s])


@pytest.mark.parametrize("between", [[], [(0, 0)]], ids=["at once", "when something is recorded"])
def test_live_names_the_time_of_what_is_shown_where_the_clock_was_set_back(
    page: PageDriver, server: WebServer, between: list[tuple[int, int]]
) -> None:
    lists = [(30, 50)]
    whole = server.get(f"hls/{CAMERA}/index.m3u8?from_us={BASE_US}&to_us={BASE_US + 60 * US}").text

    def tell_live(route: Any) -> None:
        known = route.fetch().json()
        route.fulfill(json={**known, "recorders": [{**one, "live": True} for one in known["recorders"]]})

    def answer(route: Any) -> None:
        stretch = lists.pop(0) if len(lists) > 1 else lists[0]
        route.fulfill(body=growing(whole, *stretch, sequence=100 if stretch == (30, 50) else 120), content_type=TYPE)

    page.route("**/api/recorders", tell_live)
    page.route(f"**/hls/{CAMERA}/index.m3u8", answer)
    page.open(live="1", recorders=CAMERA)
    page.until_painted(CAMERA, lambda us: us > BASE_US + 47 * US)
    lists[:] = [*between, (0, 12)]
    wrong: list[str] = []

    def is_over() -> bool:
        """Whether what was captured after the step is shown."""
        stamps_us = [page.stamp_us(CAMERA)]
        shown_us = page.painted(CAMERA)
        stamps_us.append(page.stamp_us(CAMERA))
        if shown_us is not None and all(abs(one - shown_us) > US for one in stamps_us):
            wrong.append(f"{iso(shown_us)}: {iso(stamps_us[0])}")
        return shown_us is not None and shown_us < BASE_US + 20 * US

    page.until(is_over)
    assert wrong == []


def test_a_recorder_that_ends_while_it_is_live_is_told(
    open_page: Callable[..., PageDriver], recorder: Recorder, served: WebServer
) -> None:
    page = open_page(served).open()
    until_live(page)
    recorder.end()
    page.until(lambda: "Nothing is being recorded at present." in page.message(CAMERA))
    assert page.painted(CAMERA) is not None
    assert page.screen(CAMERA).locator(".work").is_hidden()
    recorder.start()
    until_live(page)
    page.until(lambda: not page.is_told(CAMERA))


def test_live_is_at_the_end_though_its_keyframe_is_long_ago(
    open_page: Callable[..., PageDriver], tmp_path: Path
) -> None:
    began_us = time.time_ns() // 1000
    with being_recorded(tmp_path, gop=100_000) as directory, run_web([RecorderPlace(CAMERA, directory)]) as server:
        while time.time_ns() // 1000 < began_us + 32 * US:  # more than hls.js loads ahead
            time.sleep(0.5)
        opened_us = time.time_ns() // 1000
        page = open_page(server).open()
        shown_us = page.until_painted(CAMERA, lambda us: us > opened_us - 12 * US)
        # It would play for longer than that until it came to there, though it plays faster.
        assert time.time_ns() // 1000 - shown_us < 15 * US


def test_live_with_reordered_frames_has_no_holes_and_names_the_time_of_what_it_shows(
    open_page: Callable[..., PageDriver], tmp_path: Path
) -> None:
    with (
        being_recorded(tmp_path, gop=30, b_frames=2) as directory,
        run_web([RecorderPlace(CAMERA, directory)]) as server,
    ):
        page = open_page(server).open()
        for _ in range(4):
            begun_us = until_live(page)
            page.until_painted(CAMERA, lambda us, since_us=begun_us: us > since_us + 4 * US)  # type: ignore[misc]
            holes = page.screen(CAMERA).locator("video").evaluate("(video) => video.buffered.length - 1")
            page.press("k")
            assert holes == 0
            # A frame may still be on its way to the screen; what stays is shown for good.
            page.until(lambda: page.stamp_us(CAMERA) == (page.painted(CAMERA) or 0) // 1000 * 1000, within_s=10)
            page.press("End")


def test_moments_of_what_is_being_recorded_are_shown_wherever_their_keyframes_are(
    open_page: Callable[..., PageDriver], seldom_keyed: WebServer
) -> None:
    while len(seldom_keyed.get("api/recorders/porch/frames?from=-20s&to=now").json["frames_us"]) < 150:
        time.sleep(0.5)
    for back_s in (5.5, 6.5, 7.5, 8.5):
        us = time.time_ns() // 1000 - round(back_s * US)
        page = open_page(seldom_keyed).open_at(us)
        asked = f"api/recorders/porch/frames?from_us={us - 5 * US}&to_us={us + 1}"
        due_us = seldom_keyed.get(asked).json["frames_us"][-1]
        check(page, due_us)
        page.close()


def check(page: PageDriver, due_us: int) -> None:
    """The picture is the one that is due, and its stamp says so."""
    page.until_painted("porch", lambda us: us == due_us)
    page.until(lambda: abs(page.stamp_us("porch") - due_us) < 2000)
