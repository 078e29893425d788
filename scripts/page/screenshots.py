"""`make screenshots`: pictures of the page with invented recordings, for the guide. Needs Chromium.

Two recorders of a synthetic camera with gaps, of which the gate records while the pictures are taken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from scripts.fakes.painted_camera import paint
from videostore.base.clock import SystemClock
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.images import read_picture
from videostore.media.packet import Gap, Packet
from videostore.recording.run import Run
from videostore.storage.notes import Event, Notes, RecordingGap
from videostore.store.store import VideoStore
from videostore.web.app import make_app
from videostore.web.recorders import RecorderPlace, Recorders
from videostore.web.server import HOST, serve

ROOT = Path(__file__).resolve().parents[2]
LOGGER = logging.getLogger("videostore.screenshots")
US = 1_000_000
MINUTE_US = 60 * US
SIZE = (640, 360)
FPS = 4
ENCODER = Encoder("libx264", 1_000_000, "ultrafast", FPS)
RUNS = {
    "front door": [(-290, 60), (-200, 45), (-150, 20), (-20, 8), (-11, 8)],
    "yard": [(-280, 130), (-140, 50), (-25, 22)],
}
"""Minutes before now, and how many minutes are recorded."""
SPARSE_S = 15
"""Long runs have a frame as often as this: their pictures are small on a timeline of a day."""
SETTLE_MS = 2500
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 1060}


async def make(directory: Path, label: str, now_us: int) -> None:
    """Record the runs of a recorder."""
    directory.mkdir(parents=True)
    for begin, length in RUNS[label]:
        interval_us = US // FPS if length <= 8 else SPARSE_S * US
        first_us = now_us + begin * MINUTE_US
        times = range(first_us, first_us + length * MINUTE_US, interval_us)
        run: Run | None = None
        for number, time_us in enumerate(times):
            data = paint(time_us, number, width=SIZE[0], height=SIZE[1], label=label)
            packet = Packet(read_picture(data)[0], data, time_us)
            run = run or await Run.start(
                packet,
                binary=find_ffmpeg(),
                encoder=ENCODER,
                directory=directory,
                segment_seconds=30 if length <= 8 else 900,
                logger=LOGGER,
            )
            await run.write(packet)
        if run is not None:
            await run.finish()


async def note(directory: Path, now_us: int) -> None:
    """Note why the front door has its last gap, and what was marked there."""
    notes = Notes(directory, LOGGER, read_only=False)
    await notes.load()
    gap = RecordingGap(now_us - 12 * MINUTE_US, now_us - 11 * MINUTE_US, "the camera did not answer")
    await notes.add_gap(gap)
    for minutes, label, keep in ((14, "person at the door", False), (9, "door opened", True)):
        at_us = now_us - minutes * MINUTE_US
        await notes.add_event(Event(0, at_us, at_us - 15 * US, at_us + 15 * US, label, keep))
    await notes.close()


class LiveCamera:
    """Paints an image at every interval."""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        for number in range(sys.maxsize):
            time_us = time.time_ns() // 1000
            data = await asyncio.to_thread(paint, time_us, number, width=SIZE[0], height=SIZE[1], label="yard")
            yield Packet(read_picture(data)[0], data, time_us)
            await asyncio.sleep(1 / FPS)


@contextlib.asynccontextmanager
async def recording(directory: Path) -> AsyncIterator[None]:
    """Record to a directory that has recordings."""
    storage = StorageConfig(1, directory, directory.with_name("upload"), 30, None)
    store = VideoStore(
        "yard",
        storage,
        source=LiveCamera(),
        encoder=ENCODER,
        binary=find_ffmpeg(),
        clock=SystemClock(),
        logger=LOGGER,
    )
    await store.start()
    try:
        yield
    finally:
        await store.close()


def views(now_us: int) -> Iterator[tuple[str, dict[str, str], dict[str, object]]]:
    """Name, address and settings of each picture."""

    def around(us: int, span_minutes: float, **words: str) -> dict[str, str]:
        half = round(span_minutes * MINUTE_US / 2)
        return {"at": iso(us), "from": iso(us - half), "to": iso(us + half), **words}

    door = {"recorders": "front-door"}
    shown_us = now_us - 16 * MINUTE_US
    gap_us = now_us - 11 * MINUTE_US - MINUTE_US // 2
    marked = {"in": iso(shown_us - 40 * US), "out": iso(shown_us + 20 * US)}
    yield "day", around(shown_us, 24 * 60, **door), {}
    yield "hour", around(shown_us, 60, **door, **marked), {}
    yield "gap", around(gap_us, 8, **door), {}
    yield "several", around(shown_us, 60), {}
    yield "live", {"live": "1", "recorders": "yard"}, {}
    yield "narrow", around(shown_us, 30, **door), {"viewport": NARROW, "is_mobile": True}
    yield "dark", around(shown_us, 60), {"color_scheme": "dark"}


def iso(us: int) -> str:
    """A moment as addresses have it."""
    seconds, rest = divmod(us, US)
    return f"{datetime.fromtimestamp(seconds, tz=timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


async def shoot(browser: Browser, url: str, target: Path, name: str, settings: dict[str, object]) -> None:
    """Take one picture, when the page shows all of it."""
    context = await browser.new_context(**{"viewport": WIDE, "color_scheme": "light", **settings})  # type: ignore[arg-type]
    page: Page = await context.new_page()
    page.set_default_timeout(120_000)
    await page.goto(url)
    await page.locator("#screens[aria-busy=false]").wait_for()
    if "live" in url:
        await page.locator(".note:has-text('behind')").wait_for()
    await page.locator("#lanes-text li:not(:has-text('not known'))").first.wait_for(state="attached")
    await page.wait_for_timeout(SETTLE_MS)  # the strip and the health come a little later
    await page.screenshot(path=target / f"{name}.png")
    await context.close()
    print(f"{target / name}.png", flush=True)


async def run(target: Path, chromium: str) -> None:
    """Make the recordings, serve them, and take all pictures."""
    target.mkdir(parents=True, exist_ok=True)
    now_us = time.time_ns() // 1000
    with tempfile.TemporaryDirectory(prefix="videostore-screenshots-") as work:
        directories = [Path(work) / name for name in RUNS]
        for directory in directories:
            await make(directory, directory.name, now_us)
        await note(directories[0], now_us)
        recorders = Recorders(LOGGER)
        for directory in directories:
            recorders.add(RecorderPlace(directory.name, directory))
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        flags = ["--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
        async with (
            recording(directories[1]),
            serve(make_app(recorders), HOST, 0) as url,
            async_playwright() as playwright,
            await playwright.chromium.launch(executable_path=chromium, args=[*root, *flags]) as browser,
        ):
            for name, words, settings in views(now_us):
                fragment = "&".join(f"{key}={value}" for key, value in words.items())
                await shoot(browser, f"{url}#{fragment}", target, name, settings)


def main() -> int:
    """Take the pictures. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="screenshots", description="Take pictures of the page.")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "screenshots", help="directory for them")
    output = parser.parse_args().output
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("screenshots: Chromium is not installed.", file=sys.stderr)
        return 1
    asyncio.run(run(output, chromium))
    return 0


if __name__ == "__main__":
    sys.exit(main())
