"""Measures the web server: how soon a page shows something of 300,000 segments, and what viewers cost.

The server is the command `videostore web`, a process. Where nginx is installed, it serves the same bytes besides.
"""

import asyncio
import contextlib
import getpass
import http.client
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.bench.first_picture import chromium, first_pictures_s
from scripts.bench.segments import SEGMENT_S, make_directory, write_index
from scripts.bench.table import Row
from scripts.bench.web_live import PART, STRETCHES, Client, live_row, recording, used_s
from videostore.base.constants import US_PER_SECOND

ROWS = ("web",)
SEGMENTS, QUICK_SEGMENTS = 300_000, 10_000
TARGET_FIRST_S = 1.0
VIEWERS = (1, 5, 20)
_OPEN_WITHIN_S = 300.0
_REPEATED = 9
_ROUNDS = 2


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """The rows of `ROWS`."""
    if not rows:
        return []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as name:
        return [
            *await _measure_scale(Path(name), binary, QUICK_SEGMENTS if quick else SEGMENTS, say),
            *await asyncio.to_thread(_measure_viewers, Path(name), 5.0 if quick else 10.0, say),
        ]


# Scale


async def _measure_scale(directory: Path, binary: str, count: int, say: Callable[[str], None]) -> list[Row]:
    say(f"web: making {count:,} segments")
    now_us = (int(time.time()) - 3600) * US_PER_SECOND
    made = await make_directory(directory / "many", count, now_us, binary, gaps=300, gap_s=100)
    await write_index(made.path, made.template, made.starts_us)
    say("web: opening them")
    return await asyncio.to_thread(_ask, made.path, made.starts_us, count)


def _ask(path: Path, starts_us: list[int], count: int) -> list[Row]:
    began = time.monotonic()
    with _server(path) as (url, _):
        client = Client(url)
        _wait_until_open(client, path.name)
        opened_s = time.monotonic() - began
        first_s, playlist_s, day_s, all_s = list[float](), list[float](), list[float](), list[float]()
        for number in range(_REPEATED):
            # Each time elsewhere, where nothing is known yet.
            from_us = starts_us[count * (number + 1) // (_REPEATED + 2)] + SEGMENT_S * US_PER_SECOND // 2
            began = time.monotonic()
            client.get(f"api/recorders/{path.name}/timeline?from_us={from_us - 86_400_000_000}&to_us={from_us}")
            day_s.append(time.monotonic() - began)
            listed = time.monotonic()
            text = client.get(f"hls/{path.name}/index.m3u8?from_us={from_us}&to_us={from_us + 600_000_000}").decode()
            playlist_s.append(time.monotonic() - listed)
            size, begin, address = PART.findall(text)[0]
            client.get(f"hls/{path.name}/{address}", f"bytes={begin}-{int(begin) + int(size) - 1}")
            first_s.append(time.monotonic() - began)
            began = time.monotonic()
            client.get(f"api/recorders/{path.name}/timeline")
            all_s.append(time.monotonic() - began)
        # Not the moments from before: their parts are known.
        moments_us = [starts_us[count * (number + 1) // (_REPEATED + 3)] + US_PER_SECOND for number in range(_REPEATED)]
        picture_s = first_pictures_s(url, moments_us) if chromium() else []
    worst_s = max(first_s)
    text = (
        f"{_ms(first_s)}, {worst_s * 1000:.0f} ms at most (timeline of a day {_ms(day_s)}, playlist of ten minutes "
        f"{_ms(playlist_s)})"
    )
    pictures = "Chromium is not installed"
    if picture_s:
        pictures = f"{_ms(picture_s)}, {max(picture_s) * 1000:.0f} ms at most"
    return [
        Row(
            f"web: first picture of the page, {count:,} segments",
            pictures,
            f"≤ {TARGET_FIRST_S:.0f} s",
            None,
            max(picture_s) <= TARGET_FIRST_S if picture_s else None,
        ),
        Row(
            f"web: first bytes of a page, {count:,} segments",
            text,
            f"≤ {TARGET_FIRST_S:.0f} s",
            None,
            worst_s <= TARGET_FIRST_S,
        ),
        Row(f"web: timeline of all {count:,} segments", _ms(all_s), "-", None, None),
        Row(f"web: start of the server, {count:,} segments", f"{opened_s:.1f} s", "-", None, None),
    ]


# Viewers


def _measure_viewers(directory: Path, seconds: float, say: Callable[[str], None]) -> list[Row]:
    rows = []
    storage = directory / "live"
    say("web: recording a camera")
    with recording(storage) as recorder, _server(storage) as (url, server):
        client = Client(url)
        _wait_until_open(client, "live")
        parts = _wait_for_parts(client)
        for viewers in VIEWERS:
            say(f"web: {viewers} live viewers")
            rows.append(live_row(viewers, "live", url, recorder, server, stretches=4 if seconds < 10 else STRETCHES))
        with _nginx(directory, parts, client) as nginx:
            for viewers in VIEWERS:
                say(f"web: {viewers} viewers as fast as they can")
                ours, theirs = list[Rate](), list[Rate]()
                for _ in range(_ROUNDS):  # by turns: other programs take more or less of the machine
                    ours.append(_fetch_rate(f"{url}hls/live/", parts, viewers, seconds / _ROUNDS, server))
                    if nginx is not None:
                        theirs.append(_fetch_rate(nginx[0], parts, viewers, seconds / _ROUNDS, nginx[1]))
                against, ratio = "nginx is not installed", None
                if theirs:
                    against = f"nginx: {_mean(theirs)}"
                    ratio = _mean(ours).requests / _mean(theirs).requests
                title = f"web: parts of segments to {viewers} viewers"
                rows.append(Row(title, str(_mean(ours)), against, ratio, None))
    return rows


@dataclass(frozen=True)
class Rate:
    """What a server sent in a second, and the CPU that it took for each request."""

    requests: float
    megabytes: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.requests:.0f}/s, {self.megabytes:.0f} MB/s, CPU {self.cpu_s * 1000:.2f} ms each"


def _mean(rates: Sequence[Rate]) -> Rate:
    requests, megabytes = sum(one.requests for one in rates), sum(one.megabytes for one in rates)
    cpu_s = sum(one.cpu_s * one.requests for one in rates) / max(requests, 1)
    return Rate(requests / len(rates), megabytes / len(rates), cpu_s)


def _fetch_rate(
    base: str, parts: Sequence[tuple[str, str]], viewers: int, seconds: float, server: psutil.Process
) -> Rate:
    command = [sys.executable, "-m", "scripts.bench.web_viewers", base, str(viewers), str(seconds)]
    before_s = used_s(server)
    done = subprocess.run(command, input=json.dumps(parts), capture_output=True, text=True, check=True)
    requests, size_bytes = json.loads(done.stdout)
    return Rate(requests / seconds, size_bytes / seconds / 1e6, (used_s(server) - before_s) / max(requests, 1))


@contextlib.contextmanager
def _nginx(
    directory: Path, parts: Sequence[tuple[str, str]], client: "Client"
) -> Iterator[tuple[str, psutil.Process] | None]:
    """Its address and its process, serving the same bytes; None if it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        yield None
        return
    root = directory / "nginx"
    root.mkdir(exist_ok=True)
    for address in {address for address, _ in parts}:
        (root / address.partition("?")[0]).write_bytes(client.get(f"hls/live/{address}"))
    port = _free_port()
    config = root / "nginx.conf"
    config.write_text(
        f"user {getpass.getuser()}; worker_processes 1; pid {root}/pid; error_log {root}/errors; daemon off;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000;\n"
        f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n",
        encoding="utf-8",
    )
    with subprocess.Popen([program, "-p", str(root), "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for_port(port)
            yield f"http://127.0.0.1:{port}/", psutil.Process(process.pid)
        finally:
            process.terminate()


# Processes


@contextlib.contextmanager
def _server(path: Path) -> Iterator[tuple[str, psutil.Process]]:
    command = [sys.executable, "-m", "videostore", "web", "--storage", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


def _wait_until_open(client: Client, name: str) -> None:
    deadline = time.monotonic() + _OPEN_WITHIN_S
    while True:
        with contextlib.suppress(RuntimeError):
            client.get(f"api/recorders/{name}/timeline?most=1")
            return
        if time.monotonic() > deadline:
            raise RuntimeError("the recorder is not opened")
        time.sleep(0.05)


def _wait_for_parts(client: Client) -> list[tuple[str, str]]:
    """The parts of the segments that are recorded so far, after a while: their addresses and ranges."""
    deadline = time.monotonic() + 60
    while True:
        found = PART.findall(client.get("hls/live/index.m3u8").decode())
        if len(found) >= 10:
            return [(one, f"bytes={begin}-{int(begin) + int(size) - 1}") for size, begin, one in found]
        if time.monotonic() > deadline:
            raise RuntimeError("nothing is recorded")
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.connect()
            connection.close()
            return
        time.sleep(0.05)
    raise RuntimeError("nginx does not answer")


def _ms(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms"
