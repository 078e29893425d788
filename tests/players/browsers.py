"""Chromium and Firefox, without a driver: a page shows the clips and sends home the pixels of what it shows."""

from __future__ import annotations

import abc
import contextlib
import http.server
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from tests.players.clips import Clip
from tests.players.programs import alone, first_line
from tests.players.reading import Reading, Seek, read_frames

PAGE = Path(__file__).with_name("page.html")
_SILENCE_S = 150
"""A page that asks for nothing for so long hangs: each of its own waits is shorter."""
_LIMIT_S = 3000
_PREFERENCES = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.hardware-video-decoding.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.tabs.remote.autostart": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "services.settings.server": "http://127.0.0.1:9",
}
"""Firefox shows the page at once, plays without a click, and looks for nothing on the network."""


@dataclass
class _Job:
    """What one page has said of one clip so far."""

    clip: Path
    frames: int
    middle_s: float
    still: bool
    pixels: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=lambda: {"error": "the page did not come to it"})

    def gray(self, phase: str) -> list[NDArray[Any]]:
        """The brightness of the frames of a phase; of a painted frame any of the colours serves."""
        return [pixels[:, :, 1] for pixels in self.pixels.get(phase, [])]

    def played(self, phase: str) -> list[int]:
        """The frames that one play has shown, with the one that stood there before it."""
        return read_frames([*self.gray("first"), *self.gray(phase)])

    def is_whole(self, shown: Sequence[int]) -> bool:
        """Whether as many frames were read as there are, all of them readable and in order."""
        return len(shown) == self.frames and shown[0] > 0 and all(a < b for a, b in itertools.pairwise(shown))


class _Home(http.server.ThreadingHTTPServer):
    """Serves the page and the clips on loopback, and takes what the page sends."""

    daemon_threads = True

    def __init__(self, jobs: Sequence[_Job]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jobs = jobs
        self.done = threading.Event()
        self.asked_s = time.monotonic()
        """When the page last asked for something."""

    @property
    def is_silent(self) -> bool:
        """Whether the page hangs."""
        return time.monotonic() - self.asked_s > _SILENCE_S


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Home
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/":
            self._answer(PAGE.read_bytes(), "text/html")
        elif url.path == "/jobs":
            jobs = [
                {"number": number, "frames": job.frames, "middle": job.middle_s, "still": job.still}
                for number, job in enumerate(self.server.jobs)
            ]
            self._answer(json.dumps(jobs).encode(), "application/json")
        elif url.path == "/clip":
            self._answer(self._job(url).clip.read_bytes(), "video/mp4")
        elif url.path == "/whole":
            job = self._job(url)
            whole = job.is_whole(job.played(urllib.parse.parse_qs(url.query)["phase"][0]))
            self._answer(json.dumps(whole).encode(), "application/json")
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if url.path == "/frame":
            query = urllib.parse.parse_qs(url.query)
            pixels = numpy.frombuffer(body, numpy.uint8).reshape(int(query["height"][0]), int(query["width"][0]), 4)
            self._job(url).pixels.setdefault(query["phase"][0], []).append(pixels)
        elif url.path == "/told":
            self._job(url).told = json.loads(body)
        elif url.path == "/done":
            self.server.done.set()
        self._answer(b"", "text/plain")

    def _job(self, url: urllib.parse.SplitResult) -> _Job:
        return self.server.jobs[int(urllib.parse.parse_qs(url.query)["clip"][0])]

    def _answer(self, body: bytes, kind: str) -> None:
        self.server.asked_s = time.monotonic()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        # The browser is killed when it is done, with connections open.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request for each frame would fill the screen."""


class _Browser(abc.ABC):
    """A browser, started for one round of clips with a profile of its own."""

    name: str
    seek = Seek.SHOWN
    programs: tuple[str, ...]

    def missing(self) -> str | None:
        return None if self._program() else f"{self.programs[0]} not installed"

    def version(self) -> str:
        return first_line(self._program() or "", "--version").strip()

    def read(self, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
        jobs = [_Job(clip.path, len(clip.times), clip.middle_s, still=False) for clip in clips]
        self._show(jobs, directory)
        return {clip.name: _reading(job) for clip, job in zip(clips, jobs, strict=True)}

    def first_pictures(self, paths: Sequence[Path], directory: Path) -> list[NDArray[Any] | str]:
        """The first frame of each clip as it is shown (rows x columns x RGBA), or why it is not."""
        jobs = [_Job(path, 1, 0.0, still=True) for path in paths]
        self._show(jobs, directory)
        return [job.told.get("error") or job.pixels["first"][0] for job in jobs]

    def _show(self, jobs: Sequence[_Job], directory: Path) -> None:
        with _Home(jobs) as home:
            threading.Thread(target=home.serve_forever, daemon=True).start()
            with self._running(f"http://127.0.0.1:{home.server_port}/", directory) as process:
                for _ in range(_LIMIT_S):
                    if home.done.wait(1) or process.poll() is not None or home.is_silent:
                        break
            home.shutdown()

    @contextlib.contextmanager
    def _running(self, url: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
        profile = directory / "profile"
        self._prepare(profile)
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                self._command(profile, url), stdout=log, stderr=log, env=alone(directory), start_new_session=True
            )
            try:
                yield process
            finally:
                # Its own session: all its helpers end with it.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                shutil.rmtree(profile, ignore_errors=True)

    def _program(self) -> str | None:
        return next(filter(None, map(shutil.which, self.programs)), None)

    def _prepare(self, profile: Path) -> None:
        profile.mkdir()

    @abc.abstractmethod
    def _command(self, profile: Path, url: str) -> list[str]: ...


class Chromium(_Browser):
    """Chromium without a window."""

    name = "Chromium"
    programs = ("chromium", "chromium-browser", "google-chrome")

    def _command(self, profile: Path, url: str) -> list[str]:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        play = [
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--autoplay-policy=no-user-gesture-required",
        ]
        return [self._program() or "", *root, *quiet, *play, f"--user-data-dir={profile}", url]


class Firefox(_Browser):
    """Firefox without a window."""

    name = "Firefox"
    programs = ("firefox-esr", "firefox")

    def _prepare(self, profile: Path) -> None:
        super()._prepare(profile)
        lines = [f'user_pref("{name}", {json.dumps(value)});\n' for name, value in _PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines))

    def _command(self, profile: Path, url: str) -> list[str]:
        return [self._program() or "", "--headless", "--no-remote", "--profile", str(profile), url]


def _reading(job: _Job) -> Reading:
    if error := job.told.get("error"):
        return Reading(error=error)
    middle = read_frames(job.gray("middle"))
    readings = [job.played("play"), job.played("again"), read_frames(job.gray("scan"))]
    shown = next(filter(job.is_whole, readings), max(readings, key=lambda one: len(set(one))))
    return Reading(shown, job.told["duration"], middle[0] if middle else None)
