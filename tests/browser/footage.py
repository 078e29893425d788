"""What the page is tried on: recordings with painted clocks, made at full speed, and one that is being made."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tests.support.coding import Painter
from tests.support.recording import H264, H265, LOGGER, US, Pulse, capture_times, picture, record, take_over
from videostore import VideoStore
from videostore.base.clock import SystemClock
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Gap, Packet, Source, StreamFormat
from videostore.store.footage_import import import_file

BASE_US = round(datetime(2025, 10, 26, 0, 10, tzinfo=timezone.utc).timestamp()) * US + 123_457
"""The clocks of Berlin show 02:10:00 summer time. They show it once more an hour later."""
GAP_US = (BASE_US + 40 * US, BASE_US + 70 * US)
LENGTH_S = 130
SIZE = (640, 360)
ZONE = "Europe/Berlin"
SOUND = ("-f", "lavfi", "-i", "sine=duration=40:sample_rate=16000", "-map", "0", "-map", "1", "-c:a", "aac")
"""For `make_imported`: a tone beside the pictures."""
_SEGMENT_S = 10.0
_WITHIN_S = 60.0


@dataclass(frozen=True)
class Footage:
    """A recording that is closed."""

    directory: Path
    times_us: tuple[int, ...]
    """The capture times of its frames, in order."""

    def shown_at(self, us: int) -> int:
        """The frame that is shown at a moment."""
        return max(time_us for time_us in self.times_us if time_us <= us)

    def after(self, us: int) -> int:
        """The first frame after a moment."""
        return min(time_us for time_us in self.times_us if time_us > us)


def make(
    directory: Path, *runs: tuple[float, float], encoder: Encoder = H264, seed: int = 0, fps: float = 10
) -> Footage:
    """Record runs, each `(seconds after BASE_US, length in seconds)`. Blocking."""

    async def work() -> list[int]:
        times: list[int] = []
        for after_s, length_s in runs:
            some = capture_times(length_s, BASE_US + round(after_s * US), seed=seed, fps=fps)
            await record(directory, some, size=SIZE, encoder=encoder, segment_seconds=_SEGMENT_S)
            times += some
        await take_over(directory)
        return times

    # A loop of its own needs a thread of its own: that of the tests has the browser's.
    with ThreadPoolExecutor(1) as thread:
        return Footage(directory, tuple(thread.submit(lambda: asyncio.run(work())).result()))


def code(path: Path, times_us: Sequence[int], fps: int, *coding: str) -> Path:
    """A file of painted pictures. Blocking."""
    images = b"".join(picture(time_us, SIZE) for time_us in times_us)
    command = [find_ffmpeg(), "-v", "error", "-f", "image2pipe", "-framerate", str(fps), "-c:v", "mjpeg", "-i", "-"]
    command += [*coding, *(() if "-pix_fmt" in coding else ("-pix_fmt", "yuv420p"))]
    subprocess.run([*command, str(path)], input=images, check=True, timeout=120)
    return path


def make_imported(directory: Path, *coding: str) -> Footage:
    """Footage of another camera, as it comes: 40 s of 10 frames each. Blocking."""
    return make_changing(directory, coding)


def make_changing(directory: Path, *codings: Sequence[str]) -> Footage:
    """The same of cameras that follow each other, with gaps of 20 s. Blocking."""
    starts_us = [BASE_US + number * 60 * US for number in range(len(codings))]
    times_us = [tuple(start_us + number * US // 10 for number in range(400)) for start_us in starts_us]

    async def work() -> None:
        for number, coding in enumerate(codings):
            file = code(directory.with_name(f"{directory.name}-{number}.mp4"), times_us[number], 10, *coding)
            await import_file(file, directory, start=starts_us[number])

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()
    return Footage(directory, tuple(itertools.chain(*times_us)))


def make_all(root: Path) -> dict[str, Footage]:
    """The recordings of all tests: with a gap, without one, and one that few browsers can decode. Blocking."""
    hour_s = 3600
    return {
        "front-door": make(root / "front door", (0, 40), (70, LENGTH_S - 70), (hour_s, 20)),
        "yard": make(root / "yard", (0, LENGTH_S), seed=1),
        "gate": make(root / "gate", (0, 6), encoder=H265),
    }


class OwnStream:
    """That of a camera that paints its clock, 10 frames a second, of which one in `gop` is a keyframe."""

    def __init__(self, gop: int, b_frames: int) -> None:
        self.gop = gop
        self.b_frames = b_frames

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        painter = Painter("h264", gop=self.gop, b_frames=self.b_frames, size=SIZE)
        begin_us = time.time_ns() // 1000
        format: StreamFormat | None = None
        due = time.monotonic()
        while True:
            now_us = time.time_ns() // 1000
            for one in await asyncio.to_thread(painter.code, now_us, now_us - begin_us):
                if format is None:
                    sets = parameter_sets("h264", bytes(one))
                    reordered = inspect_keyframe("h264", bytes(one)).reordered
                    format = StreamFormat("h264", *SIZE, sets, reordered=reordered)
                yield Packet(format, bytes(one), begin_us + one.pts, bool(one.is_keyframe))
            due = max(due + 0.1, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


@contextlib.contextmanager
def being_recorded(directory: Path, *, gop: int | None = None, b_frames: int = 0) -> Iterator[Path]:
    """A directory that is recorded to, by a camera that paints its clock; with `gop`, as a stream with that comes."""
    ready: Future[Path] = Future()
    end: list[asyncio.Event] = []
    loops: list[asyncio.AbstractEventLoop] = []
    storage = directory / "storage"
    source: Source = OwnStream(gop, b_frames) if gop else Pulse(0.1, SIZE)

    async def work() -> None:
        end.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        store = VideoStore(
            "cam",
            StorageConfig(1, storage, directory / "upload", _SEGMENT_S, None),
            binary=find_ffmpeg(),
            source=source,
            encoder=Encoder.copy(20) if gop else H264,
            clock=SystemClock(),
            logger=LOGGER,
        )
        try:
            await store.start()
            ready.set_result(storage)
            await end[0].wait()
        finally:
            await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    try:
        yield ready.result(_WITHIN_S)
    finally:
        loops[0].call_soon_threadsafe(end[0].set)
        thread.join(_WITHIN_S)
        assert not thread.is_alive()
