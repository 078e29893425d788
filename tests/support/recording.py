"""Recordings for tests: painted images with invented capture times, recorded by the real ffmpeg at full speed."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.fakes.painted_camera import paint
from tests.support.once import file_once_per_run, once_per_run
from videostore.base.clock import Clock, SystemClock
from videostore.clips.cutter import ClipCutter
from videostore.clips.workspace import WORK_DIRECTORY, Workspaces
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.images import read_picture
from videostore.media.packet import Gap, Packet, Source
from videostore.media.segment import Segment
from videostore.recording.recorder import Recorder
from videostore.recording.run import Run
from videostore.storage.archive import Archive
from videostore.storage.reconciler import Reconciler
from videostore.storage.retention_holds import RetentionHolds
from videostore.store.store import VideoStore

US = 1_000_000
START_US = 1_725_000_000 * US + 123_457
"""On 30 August 2024, between two milliseconds."""
SIZE = (320, 180)
SMALL = (160, 144)
"""The smallest size that the paint fits into."""
LOGGER = logging.getLogger("videostore.tests")
H264 = Encoder("libx264", 1_000_000, "ultrafast", 20)
H265 = Encoder("libx265", 1_000_000, "ultrafast", 20)
_PACE_S = 0.005
_MAY_WAIT = 10
"""So many frames of a `Feed` may wait for the recorder: fewer than those beyond which it drops some."""


@dataclass
class FixedClock:
    """A clock that stands still until a test moves it."""

    wall: int = START_US + 3600 * US
    monotonic: int = 1000 * US

    def wall_us(self) -> int:
        return self.wall

    def monotonic_us(self) -> int:
        return self.monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass, without a step of the wall clock."""
        self.wall += round(seconds * US)
        self.monotonic += round(seconds * US)


def capture_times(seconds: float, start_us: int = START_US, *, fps: float = 10, seed: int | None = 0) -> list[int]:
    """Capture times at varying intervals; at constant ones with `seed=None`."""
    dice = random.Random(seed)
    times = [start_us]
    while True:
        factor = 1.0 if seed is None else dice.uniform(0.5, 1.5)
        following = times[-1] + round(US / fps * factor)
        if following >= start_us + seconds * US:
            return times
        times.append(following)


@functools.cache
def picture(captured_us: int, size: tuple[int, int] = SIZE, mime: str = "image/jpeg") -> bytes:
    """An image with its capture time painted into it."""
    return paint(captured_us, 0, width=size[0], height=size[1], mime=mime)


def packet(captured_us: int, size: tuple[int, int] = SIZE, mime: str = "image/jpeg") -> Packet:
    """The same image as a source yields it."""
    format, data = read_picture(picture(captured_us, size, mime))
    return Packet(format, data, captured_us)


async def record_run(
    directory: Path,
    times: Sequence[int],
    *,
    size: tuple[int, int] = SIZE,
    encoder: Encoder = H264,
    segment_seconds: float = 2,
) -> Run:
    """Record one run as fast as ffmpeg can. Its segments keep their open names, as after a kill of the module."""
    directory.mkdir(parents=True, exist_ok=True)
    packets = [packet(time_us, size) for time_us in times]
    run = await Run.start(
        packets[0],
        binary=find_ffmpeg(),
        encoder=encoder,
        directory=directory,
        segment_seconds=segment_seconds,
        logger=LOGGER,
    )
    for one in packets:
        await run.write(one)
    await run.finish(patient=True)
    return run


@once_per_run
def _recorded(
    binary: str, times: tuple[int, ...], size: tuple[int, int], encoder: Encoder, segment_seconds: float
) -> dict[str, bytes]:
    with TemporaryDirectory() as name:
        directory = Path(name)
        asyncio.run(record_run(directory, times, size=size, encoder=encoder, segment_seconds=segment_seconds))
        return {path.name: path.read_bytes() for path in directory.iterdir()}


async def record(
    directory: Path,
    times: Sequence[int],
    *,
    size: tuple[int, int] = SIZE,
    encoder: Encoder = H264,
    segment_seconds: float = 2,
) -> None:
    """What `record_run` leaves. It is the same each time, so the files of a run that was recorded before are copied."""
    recorded = await asyncio.to_thread(_recorded, find_ffmpeg(), tuple(times), size, encoder, segment_seconds)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in recorded.items():
        assert not (directory / name).exists()
        (directory / name).write_bytes(content)


async def take_over(directory: Path) -> list[Segment]:
    """Close and index all segments of a directory, as a store does when it starts. Returns them."""
    archive = await Archive.open(directory, LOGGER)
    try:
        await Reconciler(archive, LOGGER).reconcile(lambda _: False)
        return await archive.index.oldest(1000)
    finally:
        await archive.close()


async def write_foreign(path: Path, *, seconds: float = 3, fps: int = 10, size: tuple[int, int] = SMALL) -> None:
    """A plain MP4, such as the Go module writes."""
    await asyncio.to_thread(_write_foreign, path, find_ffmpeg(), seconds, fps, size)


@file_once_per_run
def _write_foreign(path: Path, binary: str, seconds: float, fps: int, size: tuple[int, int]) -> None:
    width, height = size
    source = f"testsrc=size={width}x{height}:rate={fps}:duration={seconds}"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(fps), "-pix_fmt", "yuv420p"]
    subprocess.run([binary, "-v", "error", "-f", "lavfi", "-i", source, *coding, str(path)], check=True)


async def until(condition: Callable[[], object], within_s: float = 150.0) -> None:
    """Wait for a condition that other tasks make true. What takes longer than `within_s` hangs."""
    began = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began
        assert waited_s < within_s, f"not reached within {within_s} s"
        await asyncio.sleep(0.01 if waited_s < 1 else 0.03)  # looking costs as much as a recorder does


class Feed:
    """A source that yields what a test puts into it, slowly enough for the backlog."""

    def __init__(self, *items: Packet | Gap | Exception) -> None:
        self._queue: asyncio.Queue[Packet | Gap | Exception] = asyncio.Queue()
        self._recorder: Callable[[], Recorder | None] = lambda: None
        self.put(*items)

    def put(self, *items: Packet | Gap | Exception) -> None:
        """Add the next items. An exception is raised from the iterator."""
        for item in items:
            self._queue.put_nowait(item)

    @property
    def is_empty(self) -> bool:
        """Whether all items were taken."""
        return self._queue.empty()

    def wait_for(self, recorder: Callable[[], Recorder | None]) -> None:
        """Yield no more than a recorder has room for, however long its ffmpeg takes to start and to read."""
        self._recorder = recorder

    def _has_room(self) -> bool:
        recorder = self._recorder()
        return recorder is None or len(recorder._backlog._items) < _MAY_WAIT

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        while True:
            item = await self._queue.get()
            if isinstance(item, Exception):
                raise item
            yield item
            await asyncio.sleep(_PACE_S)
            await until(self._has_room)


class Pulse:
    """A source that paints an image at every interval until it is stopped. `delivered` lists their capture times."""

    def __init__(self, interval_s: float = 0.1, size: tuple[int, int] = SMALL) -> None:
        self.interval_s = interval_s
        self.size = size
        self.delivered: list[int] = []
        self.stopped = False
        self._rests = False

    async def stop(self) -> None:
        """Stop, and wait until the last image was taken. Only while it is recorded."""
        self.stopped = True
        await until(lambda: self._rests)

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        due = time.monotonic()
        while True:
            self._rests = self.stopped
            if not self.stopped:
                captured_us = time.time_ns() // 1000
                painted = await asyncio.to_thread(packet, captured_us, self.size)
                self.delivered.append(captured_us)
                yield painted
            due = max(due + self.interval_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


async def nothing_open(_from_us: int, _to_us: int) -> list[tuple[Segment, Path]]:
    """The open segments of a directory that is not recorded to: none."""
    return []


def clips_of(archive: Archive, binary: str) -> ClipCutter:
    """The clips of a directory that is not recorded to."""
    workspaces = Workspaces(archive.directory / WORK_DIRECTORY)
    return ClipCutter(archive, RetentionHolds(FixedClock()), workspaces, binary, LOGGER, nothing_open, "cam")


@dataclass
class Cutter:
    """Cuts clips of one archive."""

    archive: Archive
    clips: ClipCutter

    async def cut(self, from_us: int, to_us: int, container: str = "mp4") -> bytes:
        """The clip of a range."""
        async with self.clips.plan(from_us, to_us) as plan, self.clips.temporary() as path:
            await self.clips.cut(plan, path, container=container)
            return path.read_bytes()


@dataclass
class Stores:
    """Makes stores in one directory, and closes them at the end."""

    directory: Path
    opened: list[VideoStore] = field(default_factory=list)

    async def close(self) -> None:
        """Close all of them."""
        while self.opened:
            await self.opened.pop().close()

    @property
    def storage(self) -> Path:
        return self.directory / "storage"

    @property
    def upload(self) -> Path:
        return self.directory / "upload"

    async def open(
        self,
        source: Source | None = None,
        *,
        clock: Clock | None = None,
        size_gb: float = 1,
        segment_seconds: float = 2,
        min_free_gb: float | None = None,
        binary: str | None = None,
        name: str = "cam",
    ) -> VideoStore:
        """Make and start a store."""
        store = VideoStore(
            name,
            StorageConfig(size_gb, self.storage, self.upload, segment_seconds, min_free_gb),
            binary=binary or find_ffmpeg(),
            source=source,
            encoder=H264 if source else None,
            clock=clock or (SystemClock() if isinstance(source, Pulse) else FixedClock()),
            logger=LOGGER,
        )
        self.opened.append(store)
        if isinstance(source, Feed):
            source.wait_for(lambda: store._recorder)
        await store.start()
        return store

    async def over(self, recording: Path, *, binary: str | None = None) -> VideoStore:
        """Start a store on a copy of a recording, and wait until it has indexed all segments."""
        shutil.copytree(recording, self.storage)
        count = len(list(self.storage.glob("*.mp4")))
        store = await self.open(binary=binary)
        await until(lambda: store.health().segments == count)
        return store
