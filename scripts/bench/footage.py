"""Measures how long the import of a file takes, beside bare ffmpeg that cuts it into segments and syncs them."""

import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.table import Row
from videostore.base.constants import US_PER_SECOND
from videostore.config.defaults import DEFAULT_SEGMENT_SECONDS
from videostore.ffmpeg.process import run_ffmpeg
from videostore.store.footage_import import import_file

ROWS = ("import",)
_START_US = 1_700_000_000 * US_PER_SECOND
_CODED_S, _REPEATED, _REPEATED_QUICK = 20, 60, 6
_ROUNDS = 3
_TARGET = 1.5


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """The rows of `ROWS`."""
    if not rows:
        return []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as name:
        directory = Path(name)
        video, repeated = directory / "video.mp4", _REPEATED_QUICK if quick else _REPEATED
        await run_ffmpeg([binary, "-v", "error", *_coding(), str(directory / "coded.mp4")])
        again = ["-stream_loop", str(repeated - 1), "-i", str(directory / "coded.mp4"), "-c", "copy"]
        await run_ffmpeg([binary, "-v", "error", *again, str(video)])
        size_mb = video.stat().st_size / 1e6
        say(f"import: {size_mb:.0f} MB of 720p with sound, in turn with ffmpeg")
        ours, bare = [], []
        for number in range(_ROUNDS):
            storage, cut = directory / f"storage{number}", directory / f"cut{number}"
            cut.mkdir()
            ours.append(await _measured(lambda to=storage: import_file(video, to, start=_START_US)))  # type: ignore[misc]
            bare.append(await _measured(lambda to=cut: _cut(binary, video, to)))  # type: ignore[misc]
    took, against = (min(one.seconds for one in both) for both in (ours, bare))
    ratio = took / against
    return [
        Row(
            f"import: {size_mb:.0f} MB, best of {_ROUNDS}",
            _text(ours),
            f"segments: {_text(bare)}",
            ratio,
            ratio <= _TARGET,
        )
    ]


@dataclass(frozen=True)
class _Measured:
    seconds: float
    cpu_s: float
    """Of this process and its children."""


def _text(measured: Sequence[_Measured]) -> str:
    cpu_s = statistics.median(one.cpu_s for one in measured)
    return f"{min(one.seconds for one in measured):.1f} s, CPU {cpu_s:.1f} s"


def _coding() -> list[str]:
    source = f"testsrc2=size=1280x720:rate=30:duration={_CODED_S},noise=alls=20:allf=t"
    sound = f"sine=duration={_CODED_S}:sample_rate=48000"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4300k", "-g", "30", "-c:a", "aac"]
    return ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", sound, *coding]


async def _cut(binary: str, video: Path, directory: Path) -> None:
    segments = ["-f", "segment", "-segment_time", str(DEFAULT_SEGMENT_SECONDS), str(directory / "%d.mp4")]
    await run_ffmpeg([binary, "-v", "error", "-i", str(video), "-map", "0", "-c", "copy", *segments])
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


async def _measured(work: Callable[[], Awaitable[object]]) -> _Measured:
    began, before_s = time.perf_counter(), sum(os.times()[:4])
    await work()
    return _Measured(time.perf_counter() - began, sum(os.times()[:4]) - before_s)
