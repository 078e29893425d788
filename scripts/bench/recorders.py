"""Measures one module with 1, 4, 8 and 16 recorders: of JPEG cameras of 640x360 at 5 frames/s, and of streams of
640x360 in H.264 at 30 frames/s over RTSP.

CPU is in percent of a core: of the module's process, and of its ffmpegs. Memory is the proportional share (PSS) of
both. Latency is that of get-storage-state of each recorder in turn, while all record.
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

from scripts.bench import streams
from scripts.bench.processes import cpu_s, memory_mb
from scripts.bench.recording import StillCamera, draw_jpegs
from scripts.bench.table import Row
from scripts.fakes.viam_server import Parent

PICTURES, STREAMS = "recorders", "recorders-streams"
ROWS = (PICTURES, STREAMS)
COUNTS, QUICK_COUNTS = (1, 4, 8, 16), (1, 8)
SIZE, FRAMES_PER_SECOND, STREAM_BITRATE = (640, 360), 5, 500_000
SECONDS, QUICK_SECONDS = 20, 10
WARM_UP_S = 8.0
TIMEOUT_S = 60.0


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure these rows of `ROWS`."""
    counts, seconds = (QUICK_COUNTS, QUICK_SECONDS) if quick else (COUNTS, SECONDS)
    found = []
    if PICTURES in rows:
        jpegs = await asyncio.to_thread(_small)
        for count in counts:
            say(f"recorders: {count} of cameras in one module, {seconds} s")
            cameras: list[Camera] = [StillCamera(f"camera-{number}", jpegs) for number in range(count)]
            sources = [{"camera": one.name, "framerate": FRAMES_PER_SECOND} for one in cameras]
            found.append(await _record(f"{PICTURES}: {count}", cameras, sources, seconds))
    if STREAMS in rows:
        found += await _record_streams(binary, counts, seconds, say)
    return found


async def _record_streams(binary: str, counts: Sequence[int], seconds: float, say: Callable[[str], None]) -> list[Row]:
    python = await asyncio.to_thread(streams.system_python)
    if python is None:
        return [Row(STREAMS, streams.NEEDS_GSTREAMER, "", None, None)]
    found = []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        video = Path(directory, "video.h264")
        await asyncio.to_thread(streams.code, binary, video, SIZE, STREAM_BITRATE)
        async with streams.cameras(python, video, max(counts)) as port:
            for count in counts:
                say(f"recorders: {count} of streams in one module, {seconds} s")
                sources = [{"source": f"rtsp://127.0.0.1:{port}/{number}"} for number in range(count)]
                found.append(await _record(f"{STREAMS}: {count}", (), sources, seconds))
    return found


async def _record(label: str, cameras: Sequence[Camera], sources: Sequence[dict[str, Any]], seconds: float) -> Row:
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        async with Parent(cameras) as parent:
            await parent.start_module()
            names = [f"recorder-{number}" for number in range(len(sources))]
            for name, source in zip(names, sources, strict=True):
                places = {"storage_path": f"{directory}/{name}", "upload_path": f"{directory}/upload-{name}"}
                await parent.add(name, {**source, "sync": "data-manager", "storage": {"size_gb": 1, **places}})
            await asyncio.wait_for(asyncio.gather(*(streams.recording(parent, name) for name in names)), TIMEOUT_S)
            await asyncio.sleep(WARM_UP_S)
            module, children = psutil.Process(parent.process.pid), parent.children()
            before, began = [cpu_s(one) for one in (module, *children)], time.monotonic()
            await asyncio.sleep(seconds)
            took_s = time.monotonic() - began
            ours, *others = [cpu_s(one) - first for one, first in zip((module, *children), before, strict=True)]
            threads, files = module.num_threads(), module.num_fds()
            memory, in_ffmpeg = memory_mb([module]), memory_mb(children)
            latencies = [await _latency_ms(parent, name) for name in names for _ in range(max(1, 16 // len(names)))]
            dropped = sum([await _dropped(parent, name) for name in names])
            await parent.terminate()
    figures = f"{100 * ours / took_s:.1f} % of a core, {memory:.0f} MB, {threads} threads, {files} descriptors; "
    figures += f"its ffmpegs {100 * sum(others) / took_s:.1f} %, {in_ffmpeg:.0f} MB; "
    figures += f"state {statistics.median(latencies):.1f} ms [{max(latencies):.1f} at most], {dropped} frames dropped"
    return Row(label, figures, "no frame dropped", None, not dropped)


async def _dropped(parent: Parent, name: str) -> int:
    status = await parent.camera(name).get_status(timeout=TIMEOUT_S)
    if not status["recording"]:
        raise RuntimeError(f"{name} does not record: {status}")
    return int(str(status["dropped_frames"]).partition(".")[0])


async def _latency_ms(parent: Parent, name: str) -> float:
    began = time.monotonic()
    await parent.camera(name).do_command({"command": "get-storage-state"}, timeout=TIMEOUT_S)
    return 1000 * (time.monotonic() - began)


def _small() -> list[bytes]:
    """The pictures of the other benchmark at a quarter of their size. Blocking."""
    found = []
    for jpeg in draw_jpegs():
        buffer = io.BytesIO()
        Image.open(io.BytesIO(jpeg)).resize(SIZE).save(buffer, "JPEG", quality=80)
        found.append(buffer.getvalue())
    return found
