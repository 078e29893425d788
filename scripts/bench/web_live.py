"""Measures what live viewers cost: the recorder and the server, with them and without them by turns."""

import contextlib
import http.client
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from scripts.bench.pairs import ratio_of, with_spread
from scripts.bench.table import Row
from videostore.media.segment_names import OPEN_SUFFIX

PART = re.compile(r"#EXT-X-BYTERANGE:(\d+)@(\d+)\n(\S+)\n")
_DATE = re.compile(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)")
_LOOK_S, _WRITTEN_WITHIN_S = 0.1, 120.0
STRETCHES, _STRETCH_S, _SETTLE_S = 12, 2.5, 1.0
"""For each side: stretches in which so much is recorded, each some time after viewers came or went."""


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


def live_row(
    viewers: int, name: str, url: str, recorder: psutil.Process, server: psutil.Process, *, stretches: int
) -> Row:
    """CPU of the recorder and its encoder for a second of recording, alone and with live viewers, by turns.

    A busy machine changes what a second of time costs, and how much is recorded in it, by more than viewers do. The
    viewers stay connected and pause, so that neither their coming nor their going falls into a stretch.
    """
    client = Client(url)
    costs: dict[bool, list[float]] = {True: [], False: []}
    served = list[float]()
    load, paused = Load(), threading.Event()
    with _viewing(viewers, lambda stop: _watch(name, url, load, stop, paused)):
        for number in range(2 * stretches):
            is_alone = number % 4 in (0, 3)  # A B B A
            (paused.set if is_alone else paused.clear)()
            time.sleep(_SETTLE_S)
            begin = _when_recorded(client, name, _newest(client, name))
            began, before = time.monotonic(), (used_s(recorder), used_s(server))
            end = _when_recorded(client, name, begin + timedelta(seconds=_STRETCH_S))
            recorded_s, took_s = (end - begin).total_seconds(), time.monotonic() - began
            costs[is_alone].append((used_s(recorder) - before[0]) / recorded_s * 100)
            if not is_alone:
                served.append((used_s(server) - before[1]) / took_s * 100)
    text = f"recorder {with_spread(costs[False], '%', 1)}, server {with_spread(served, '%', 1)} of a core"
    against = f"recorder alone: {with_spread(costs[True], '%', 1)}"
    return Row(f"web: {viewers} live viewers", text, against, ratio_of(costs[False], costs[True]), None)


def _newest(client: "Client", name: str) -> datetime:
    """When the newest piece that is written was captured."""
    dates: list[str] = _DATE.findall(client.get(f"hls/{name}/index.m3u8").decode())
    return datetime.fromisoformat(dates[-1].replace("Z", "+00:00"))


def _when_recorded(client: "Client", name: str, past: datetime) -> datetime:
    """Wait until a piece behind a moment is written; returns when it was captured."""
    deadline = time.monotonic() + _WRITTEN_WITHIN_S
    while (newest := _newest(client, name)) <= past:
        if time.monotonic() > deadline:
            raise RuntimeError("nothing is recorded any more")
        time.sleep(_LOOK_S)
    return newest


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
