"""Measures one module with 1, 4, 8 and 16 recorders of JPEG cameras of 640x360 at 5 frames/s.

CPU is in percent of a core, of the module's process alone. Memory is its resident set. Latency is that of
get-storage-state of each recorder in turn, while all record.
"""

import asyncio
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from PIL import Image
from viam.components.camera import Camera

from scripts.bench.recording import StillCamera, draw_jpegs
from scripts.bench.table import Row
from scripts.fakes.viam_server import Parent

ROWS = ("recorders",)
COUNTS, QUICK_COUNTS = (1, 4, 8, 16), (1, 8)
WIDTH, HEIGHT, FRAMES_PER_SECOND = 640, 360, 5
SECONDS, QUICK_SECONDS = 20, 10
WARM_UP_S = 6.0
TIMEOUT_S = 60.0


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure these rows of `ROWS`."""
    del rows, binary
    jpegs = await asyncio.to_thread(_small)
    found = []
    for count in QUICK_COUNTS if quick else COUNTS:
        say(f"recorders: {count} in one module, {QUICK_SECONDS if quick else SECONDS} s")
        found.append(await _record(jpegs, count, QUICK_SECONDS if quick else SECONDS))
    return found


async def _record(jpegs: Sequence[bytes], count: int, seconds: float) -> Row:
    cameras: list[Camera] = [StillCamera(f"camera-{number}", jpegs) for number in range(count)]
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        async with Parent(cameras) as parent:
            await parent.start_module()
            names = [f"recorder-{number}" for number in range(count)]
            for name, camera in zip(names, cameras, strict=True):
                storage = {
                    "size_gb": 1,
                    "storage_path": f"{directory}/{name}",
                    "upload_path": f"{directory}/upload-{name}",
                }
                attributes: dict[str, Any] = {"camera": camera.name, "sync": "data-manager", "storage": storage}
                await parent.add(name, {**attributes, "framerate": FRAMES_PER_SECOND})
            await asyncio.sleep(WARM_UP_S)
            module = psutil.Process(parent.process.pid)
            before, began = _cpu_s(module), time.monotonic()
            await asyncio.sleep(seconds)
            share = (_cpu_s(module) - before) / (time.monotonic() - began)
            threads, files, memory = module.num_threads(), module.num_fds(), module.memory_info().rss / 1e6
            latencies = [await _latency_ms(parent, name) for name in names for _ in range(max(1, 16 // count))]
            dropped = 0
            for name in names:
                status = await parent.camera(name).get_status(timeout=TIMEOUT_S)
                if not status["recording"]:
                    raise RuntimeError(f"{name} does not record: {status}")
                dropped += int(str(status["dropped_frames"]).partition(".")[0])
            await parent.terminate()
    figures = f"{100 * share:.1f} % of a core, {memory:.0f} MB, {threads} threads, {files} descriptors, "
    figures += f"state {statistics.median(latencies):.1f} ms [{max(latencies):.1f} at most], {dropped} frames dropped"
    return Row(f"recorders: {count}", figures, "no frame dropped", None, not dropped)


async def _latency_ms(parent: Parent, name: str) -> float:
    began = time.monotonic()
    await parent.camera(name).do_command({"command": "get-storage-state"}, timeout=TIMEOUT_S)
    return 1000 * (time.monotonic() - began)


def _cpu_s(process: psutil.Process) -> float:
    """User and system time so far, exactly where the system tells it of each thread."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    times_ns = [int(path.read_text(encoding="ascii").split()[0]) for path in threads]
    return sum(times_ns) / 1e9 if any(times_ns) else float(sum(process.cpu_times()[:2]))


def _small() -> list[bytes]:
    """The pictures of the other benchmark at a quarter of their size. Blocking."""
    found = []
    for jpeg in draw_jpegs():
        buffer = io.BytesIO()
        Image.open(io.BytesIO(jpeg)).resize((WIDTH, HEIGHT)).save(buffer, "JPEG", quality=80)
        found.append(buffer.getvalue())
    return found
