"""Measures what live viewers cost: the recorder and the server, with them and without them by turns."""

import contextlib
import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from scripts.bench.pairs import ratio_of, with_spread
from scripts.bench.table import Row
from videostore.media.segment_names import OPEN_SUFFIX

PART = re.compile(r"#EXT-X-BYTERANGE:(\d+)@(\d+)\n(\S+)\n")
STRETCHES, _STRETCH_S, _SETTLE_S, _WRITTEN_S = 12, 3.0, 1.0, 5.0
"""For each side: stretches of so long, each some time after viewers came or went."""


@dataclass
class Load:
    """What viewers did, and what it cost."""

    requests: int = 0
    size_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, size_bytes: int) -> None:
        """Count a request."""
        with self.lock:
            self.requests += 1
            self.size_bytes += size_bytes


@dataclass(frozen=True)
class Stretch:
    """What the recorder and the server used in a stretch of time."""

    is_alone: bool
    from_us: int
    to_us: int
    recorder_s: float
    server_s: float


def live_row(
    viewers: int, name: str, url: str, recorder: psutil.Process, server: psutil.Process, *, stretches: int
) -> Row:
    """CPU of the recorder and its encoder for a recorded frame, alone and with live viewers, in stretches by turns.

    A busy machine changes what a second costs, and how many frames come in it, by more than viewers do. The viewers
    stay connected and pause, so that neither their coming nor their going falls into a stretch.
    """
    found = list[Stretch]()
    load, paused = Load(), threading.Event()
    with _viewing(viewers, lambda stop: _watch(name, url, load, stop, paused)):
        for number in range(2 * stretches):
            is_alone = number % 4 in (0, 3)  # A B B A
            (paused.set if is_alone else paused.clear)()
            time.sleep(_SETTLE_S)
            from_us, before = time.time_ns() // 1000, (used_s(recorder), used_s(server))
            time.sleep(_STRETCH_S)
            used = used_s(recorder) - before[0], used_s(server) - before[1]
            found.append(Stretch(is_alone, from_us, time.time_ns() // 1000, *used))
    time.sleep(_WRITTEN_S)
    client = Client(url)
    costs: dict[bool, list[float]] = {True: [], False: []}
    for one in found:
        asked = f"api/recorders/{name}/frames?from_us={one.from_us}&to_us={one.to_us}"
        frames = len(json.loads(client.get(asked))["frames_us"])
        costs[one.is_alone].append(one.recorder_s / max(frames, 1) * 1000)
    served = [one.server_s / _STRETCH_S * 100 for one in found if not one.is_alone]
    text = f"recorder {with_spread(costs[False], 'ms', 2)} a frame, server {with_spread(served, '%', 1)} of a core"
    against = f"recorder alone: {with_spread(costs[True], 'ms', 2)} a frame"
    return Row(f"web: {viewers} live viewers", text, against, ratio_of(costs[False], costs[True]), None)


def _watch(name: str, url: str, load: Load, stop: threading.Event, paused: threading.Event) -> None:
    """Watch live as a player does, if not paused: the playlist every second, and every new part of it."""
    client, seen = Client(url), set[str]()
    while not stop.wait(1.0):
        if paused.is_set():
            seen.clear()
            continue
        found = PART.findall(client.get(f"hls/{name}/index.m3u8").decode())
        for size, begin, address in found[-3:] if not seen else found:
            if address not in seen:
                load.add(len(client.get(f"hls/{name}/{address}", f"bytes={begin}-{int(begin) + int(size) - 1}")))
        seen = {address for _, _, address in found}


@contextlib.contextmanager
def _viewing(viewers: int, watch: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=watch, args=(stop,), daemon=True) for _ in range(viewers)]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in threads:
            one.join(30)


@contextlib.contextmanager
def recording(storage: Path) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "videostore", "record", "testsrc=size=1280x720:rate=20", "--format", "lavfi"]
    command += ["--storage", str(storage), "--size-gb", "5", "--bitrate", "2000000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not list(storage.glob(f"*{OPEN_SUFFIX}")):
                if time.monotonic() > deadline:
                    raise RuntimeError("nothing is recorded")
                time.sleep(0.1)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def used_s(process: psutil.Process) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


class Client:
    """A client that keeps its connection."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)

    def get(self, path: str, asked: str | None = None) -> bytes:
        """The content at a path, or a range of it. Raises RuntimeError if it is refused."""
        headers = {"Range": asked} if asked else {}
        try:
            self._connection.request("GET", f"/{path}", headers=headers)
            answer = self._connection.getresponse()
        except http.client.RemoteDisconnected:  # the server ended an idle connection
            self._connection.close()
            self._connection.request("GET", f"/{path}", headers=headers)
            answer = self._connection.getresponse()
        body = answer.read()
        if answer.status not in (200, 206):
            raise RuntimeError(f"{path}: {answer.status}")
        return body
