"""How soon the page shows a picture: from the navigation to the first video frame that Chromium presents."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import psutil

from videostore.base.time_format import format_iso

_NOTE_FIRST = """globalThis.firstPictureMs = new Promise((resolve) => {
  new MutationObserver((_, observer) => {
    const video = document.querySelector("video");
    if (!video) return;
    observer.disconnect();
    video.requestVideoFrameCallback((_, { presentationTime }) => resolve(presentationTime));
  }).observe(document, { childList: true, subtree: true });
});"""


def chromium() -> str | None:
    """The Chromium of the system; None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _raise_priority() -> None:
    """Give the browser the priority of this process: it has a session of its own, which Linux schedules by itself."""
    with contextlib.suppress(OSError):
        niceness = Path("/proc/self/autogroup").read_text(encoding="ascii").split()[-1]
        for one in psutil.Process().children(recursive=True):
            Path(f"/proc/{one.pid}/autogroup").write_text(niceness, encoding="ascii")


def first_pictures_s(url: str, moments_us: Sequence[int]) -> list[float]:
    """How long the page takes at each of these moments, each time with nothing in the browser's cache. Blocking."""
    from playwright.sync_api import sync_playwright  # what tests need, not the other benchmarks

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    flags = ["--disable-gpu", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"]
    taken_s = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*root, *flags])
        _raise_priority()
        for us in moments_us:
            context = browser.new_context(viewport={"width": 1280, "height": 860})
            page = context.new_page()
            page.add_init_script(_NOTE_FIRST)
            page.goto(f"{url}#at={format_iso(us)}", wait_until="commit")
            taken_s.append(float(page.evaluate("globalThis.firstPictureMs")) / 1000)
            context.close()
        browser.close()
    return taken_s
