"""Measures how long the picture of a moment takes, beside bare ffmpeg on the segment."""

import functools
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.bench.table import Row
from videostore.base.constants import US_PER_SECOND
from videostore.ffmpeg.process import run_ffmpeg
from videostore.store.footage_import import import_file
from videostore.store.store import VideoStore

ROWS = ("snapshot",)
_START_US = 1_700_000_000 * US_PER_SECOND
_LENGTH_S, _FRAMES_PER_SECOND = 60, 20
_TIMES, _QUICK_TIMES = 200, 40
_BARE_TIMES = 20
_WIDTH = 640
_TARGET_S = 0.015


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """The rows of `ROWS`."""
    if not rows:
        return []
    count = _QUICK_TIMES if quick else _TIMES
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as name:
        directory = Path(name)
        say(f"snapshot: {count} pictures of a recording of 720p")
        video = directory / "video.mp4"
        await run_ffmpeg([binary, "-v", "error", *_coding(), str(video)])
        await import_file(video, directory / "storage", start=_START_US, size_gb=1)
        moments_us = [_START_US + round((n + 0.9) / count * _LENGTH_S * US_PER_SECOND * 0.9) for n in range(count)]
        storage = directory / "storage"
        exact = await _measure_store(storage, moments_us, exact=True)
        keyframe = await _measure_store(storage, moments_us, exact=False)
        positions = [(at - _START_US) / US_PER_SECOND for at in moments_us[:: max(1, count // _BARE_TIMES)]]
        bare = await _measure([functools.partial(run_ffmpeg, _bare(binary, video, at)) for at in positions])
    return [
        Row(
            "snapshot: keyframe, 720p",
            str(keyframe),
            f"CPU ≤ {_TARGET_S * 1000:.0f} ms",
            None,
            keyframe.cpu_s <= _TARGET_S,
        ),
        Row("snapshot: exact, 720p", str(exact), f"-ss: {bare}", exact.cpu_s / bare.cpu_s, None),
    ]


@dataclass(frozen=True)
class _Measured:
    median_s: float
    best_s: float
    cpu_s: float
    """Of this process and its children, for each; without the start of a decoder."""

    def __str__(self) -> str:
        median, best, cpu = (f"{one * 1000:.0f} ms" for one in (self.median_s, self.best_s, self.cpu_s))
        return f"{median}, at best {best}, CPU {cpu}"


async def _measure_store(storage: Path, moments_us: Sequence[int], *, exact: bool) -> _Measured:
    """The decoder that stays is started by the first pictures, which are not measured."""
    async with VideoStore.open(storage) as store:
        while (decoders := store._snapshots._decoders) is None or not decoders.is_ready:
            await store.snapshot(moments_us[0], width=_WIDTH, exact=exact)
        return await _measure([functools.partial(store.snapshot, at, width=_WIDTH, exact=exact) for at in moments_us])


def _coding() -> list[str]:
    source = f"testsrc2=size=1280x720:rate={_FRAMES_PER_SECOND}:duration={_LENGTH_S}"
    keyframes = ["-g", str(_FRAMES_PER_SECOND), "-bf", "0", "-sc_threshold", "0"]
    return ["-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1M", *keyframes]


def _bare(binary: str, video: Path, position_s: float) -> list[str]:
    picture = ["-frames:v", "1", "-vf", f"scale={_WIDTH}:-2", "-c:v", "mjpeg", "-f", "image2pipe", "pipe:1"]
    return [binary, "-v", "error", "-ss", f"{position_s:.6f}", "-i", str(video), *picture]


async def _measure(works: Sequence[Callable[[], Awaitable[object]]]) -> _Measured:
    took, before_s = [], _cpu_s()
    for work in works:
        began = time.perf_counter()
        await work()
        took.append(time.perf_counter() - began)
    return _Measured(statistics.median(took), min(took), (_cpu_s() - before_s) / len(works))


def _cpu_s() -> float:
    """Of this process, and of its children that have ended or run."""
    running = sum(sum(one.cpu_times()[:2]) for one in psutil.Process().children())
    return sum(os.times()[:4]) + running
