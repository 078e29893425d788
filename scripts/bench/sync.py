"""Measures what it costs a recorder of 1280x720 at 20 fps to force the open segment to stable storage.

The disk is that of the temporary directory (TMPDIR names another one). Bytes are counted for the whole device,
including what other programs write meanwhile.
"""

import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from scripts.bench.recording import FRAMES_PER_SECOND, draw_jpegs
from scripts.bench.table import Row
from videostore.base.clock import SystemClock
from videostore.config import DEFAULT_BITRATE, DEFAULT_PRESET
from videostore.ffmpeg.encoder import Encoder
from videostore.media.images import read_picture
from videostore.media.packet import Gap, Packet
from videostore.recording import syncer as syncer_module
from videostore.recording.recorder import Recorder
from videostore.recording.run import Run
from videostore.recording.syncer import SYNC_INTERVAL_S

ROWS = ("sync",)
SECONDS, QUICK_SECONDS = 30, 10
_SECTOR_BYTES = 512
_NEVER_S = 1e9
_INTERVAL = "SYNC_INTERVAL_S"


class _Loop:
    """A source that yields its images in real time, again and again."""

    def __init__(self, jpegs: Sequence[bytes]) -> None:
        self._jpegs = jpegs
        self.delivered = 0

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        due = time.monotonic()
        while True:
            format, data = read_picture(self._jpegs[self.delivered % len(self._jpegs)])
            self.delivered += 1
            yield Packet(format, data, time.time_ns() // 1000)
            due = max(due + 1 / FRAMES_PER_SECOND, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """The row of `ROWS`."""
    jpegs = await asyncio.to_thread(draw_jpegs)
    seconds = QUICK_SECONDS if quick else SECONDS
    written, calls_s = {}, []
    for interval_s in (_NEVER_S, SYNC_INTERVAL_S):
        say(f"sync: {seconds} s " + ("without" if interval_s == _NEVER_S else f"every {interval_s:g} s"))
        written[interval_s], durations = await _record(jpegs, binary, seconds, interval_s)
        calls_s += durations
    with_kib, without_kib = (written[interval_s] / seconds / 1024 for interval_s in (SYNC_INTERVAL_S, _NEVER_S))
    ours = (
        f"{statistics.median(calls_s) * 1000:.1f} ms median, {max(calls_s) * 1000:.1f} max of {len(calls_s)}, in a "
        f"thread; {with_kib:.0f} KiB/s reach the device"
    )
    return [Row(f"sync every {SYNC_INTERVAL_S:g} s", ours, f"{without_kib:.0f} KiB/s without it", None, None)]


async def _record(jpegs: Sequence[bytes], binary: str, seconds: int, interval_s: float) -> tuple[int, list[float]]:
    """Record for a while. Returns the bytes that reached the device, and the seconds of each call."""
    durations: list[float] = []
    sync = Run.sync

    def timed(run: Run) -> None:
        began = time.monotonic()
        sync(run)
        durations.append(time.monotonic() - began)

    async def nothing(run: Run) -> None:
        pass

    source = _Loop(jpegs)
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        os.sync()
        recorder = Recorder(
            source,
            Encoder("libx264", DEFAULT_BITRATE, DEFAULT_PRESET, FRAMES_PER_SECOND),
            binary=binary,
            directory=Path(directory),
            segment_seconds=10,
            clock=SystemClock(),
            logger=logging.getLogger("bench"),
            on_run_end=nothing,
        )
        before = _written_bytes(directory)
        Run.sync = timed  # type: ignore[method-assign,assignment]
        setattr(syncer_module, _INTERVAL, interval_s)
        recording = asyncio.create_task(recorder.record())
        try:
            await asyncio.sleep(seconds)
        finally:
            recording.cancel()
            await asyncio.wait([recording])
            Run.sync = sync  # type: ignore[method-assign]
            setattr(syncer_module, _INTERVAL, SYNC_INTERVAL_S)
        os.sync()
        return _written_bytes(directory) - before, durations


def _written_bytes(directory: str) -> int:
    """Bytes written to a directory's device since the machine started; 0 if the system does not report them."""
    device = os.stat(directory).st_dev
    try:
        fields = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
    except OSError:
        return 0
    return int(fields[6]) * _SECTOR_BYTES
