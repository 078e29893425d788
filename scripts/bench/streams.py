"""Measures the module while its components record cameras' own streams, beside `ffmpeg -c copy -f segment` doing so.

The cameras are one process of GStreamer's RTSP server, which is not counted. Module and bare ffmpeg take turns. CPU is
in percent of a core, of the module's process, of the ffmpegs that read the cameras and of those that write segments.
Memory is the proportional share (PSS), in which pages that several processes use count once.
"""

import asyncio
import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.bench.processes import cpu_s, memory_mb
from scripts.bench.table import Row
from scripts.fakes.viam_server import Parent

ROWS = ("streams", "streams-8")
_STREAMS = {"streams": 1, "streams-8": 8}
TARGET_RATIO = {"streams": 2.0, "streams-8": 2.5}
WIDTH, HEIGHT, FRAMES_PER_SECOND, BITRATE, GOP_S, LENGTH_S = 1920, 1080, 30, 4_000_000, 2, 10
SECONDS, QUICK_SECONDS = 30, 10
ROUNDS, QUICK_ROUNDS = 4, 2
WARM_UP_S = 8.0
SEGMENT_S = 10
TIMEOUT_S = 60.0
_SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDS_GSTREAMER = "needs GStreamer's RTSP server: on Debian gir1.2-gst-rtsp-server-1.0 and python3-gi"
_CHECK = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@dataclass(frozen=True)
class Side:
    """What one side took in one round: CPU in seconds per second, and memory in MB."""

    module: float
    reading: float
    writing: float
    module_mb: float
    ffmpeg_mb: float

    @property
    def cpu(self) -> float:
        """Of all its processes."""
        return self.module + self.reading + self.writing


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure these rows of `ROWS`."""
    python = await asyncio.to_thread(system_python)
    if python is None:
        return [Row(row, NEEDS_GSTREAMER, "", None, None) for row in rows]
    seconds, rounds = (QUICK_SECONDS, QUICK_ROUNDS) if quick else (SECONDS, ROUNDS)
    found = []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        video = Path(directory, "video.h264")
        say(f"streams: coding {LENGTH_S} s of {WIDTH}x{HEIGHT}")
        await asyncio.to_thread(code, binary, video, (WIDTH, HEIGHT), BITRATE)
        async with cameras(python, video, max(_STREAMS[row] for row in rows)) as port:
            for row in rows:
                urls = [f"rtsp://127.0.0.1:{port}/{number}" for number in range(_STREAMS[row])]
                ours, bare = [], []
                for number in range(rounds):
                    say(f"{row}: the module and bare ffmpeg, {seconds} s each, round {number + 1} of {rounds}")
                    ours.append(await _record(urls, seconds))
                    bare.append(await _record_bare(urls, seconds, binary))
                found += _describe(row, ours, bare)
    return found


async def _record(urls: Sequence[str], seconds: float) -> Side:
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        async with Parent() as parent:
            await parent.start_module()
            names = [f"camera-{number}" for number in range(len(urls))]
            for name, url in zip(names, urls, strict=True):
                places = {"storage_path": f"{directory}/{name}", "upload_path": f"{directory}/upload-{name}"}
                storage = {"size_gb": 1, "segment_seconds": SEGMENT_S, **places}
                await parent.add(name, {"source": url, "sync": "data-manager", "storage": storage})
            await asyncio.wait_for(asyncio.gather(*(recording(parent, name) for name in names)), TIMEOUT_S)
            await asyncio.sleep(WARM_UP_S)
            module, children = psutil.Process(parent.process.pid), parent.children()
            reading = [one for one in children if "segment" not in one.cmdline()]
            writing = [one for one in children if "segment" in one.cmdline()]
            if len(reading) != len(urls) or len(writing) != len(urls):
                raise RuntimeError("not every stream is being recorded")
            groups = ([module], reading, writing)
            in_module, in_reading, in_writing = await _shares(groups, seconds)
            for name in names:
                status = await parent.camera(name).get_status(timeout=TIMEOUT_S)
                rate, dropped = status["frames_per_second"], status["dropped_frames"]
                if not isinstance(rate, float) or abs(rate - FRAMES_PER_SECOND) > 2 or dropped:
                    raise RuntimeError(f"{name} records {rate} frames per second, and has dropped {dropped}")
            side = Side(in_module, in_reading, in_writing, memory_mb([module]), memory_mb(children))
            await parent.terminate()
    return side


async def recording(parent: Parent, name: str) -> None:
    """Wait until a component records: at first it reads each frame when it arrives, which lasts some seconds."""
    while not (await parent.camera(name).get_status(timeout=TIMEOUT_S))["recording"]:  # noqa: ASYNC110
        await asyncio.sleep(0.5)


async def _record_bare(urls: Sequence[str], seconds: float, binary: str) -> Side:
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        processes = []
        for number, url in enumerate(urls):
            given = ("-hide_banner", "-loglevel", "error", "-nostdin", "-rtsp_transport", "tcp", "-i", url)
            made = ("-c", "copy", "-f", "segment", "-segment_time", str(SEGMENT_S), f"{directory}/{number}-%05d.mp4")
            processes.append(await asyncio.create_subprocess_exec(binary, *given, *made))
        try:
            await asyncio.sleep(WARM_UP_S)
            measured = [psutil.Process(one.pid) for one in processes]
            (cpu,) = await _shares([measured], seconds)
            return Side(0, 0, cpu, 0, memory_mb(measured))
        finally:
            for process in processes:
                process.kill()
                await process.wait()


async def _shares(groups: Sequence[Sequence[psutil.Process]], seconds: float) -> list[float]:
    """CPU time of each group of processes, in seconds per second."""
    before, began = [sum(map(cpu_s, group)) for group in groups], time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    return [(sum(map(cpu_s, group)) - first) / took for group, first in zip(groups, before, strict=True)]


@contextlib.asynccontextmanager
async def cameras(python: str, video: Path, count: int) -> AsyncIterator[int]:
    """The process that is all cameras; its port."""
    arguments = (str(_SERVER), str(video), str(FRAMES_PER_SECOND), str(count))
    process = await asyncio.create_subprocess_exec(python, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(await asyncio.wait_for(process.stdout.readline(), TIMEOUT_S))
    finally:
        process.kill()
        await process.wait()


def code(binary: str, path: Path, size: tuple[int, int], bitrate: int) -> None:
    """A picture that moves, with noise, at this bit rate. Blocking."""
    picture = f"testsrc2=s={size[0]}x{size[1]}:r={FRAMES_PER_SECOND}:d={LENGTH_S},noise=alls=12:allf=t,format=yuv420p"
    order = f"aud=1:bframes=0:keyint={GOP_S * FRAMES_PER_SECOND}:scenecut=0"
    rate = ("-b:v", str(bitrate), "-maxrate", str(bitrate), "-bufsize", str(bitrate))
    coding = ("-c:v", "libx264", "-preset", "superfast", *rate, "-x264-params", order, "-f", "h264", str(path))
    command = [binary, "-hide_banner", "-loglevel", "error", "-nostdin", "-f", "lavfi", "-i", picture, *coding]
    subprocess.run(command, check=True, timeout=300)
    rate_of_file = path.stat().st_size * 8 / LENGTH_S
    if abs(rate_of_file / bitrate - 1) > 0.15:
        raise RuntimeError(f"the stream has {rate_of_file:.0f} bit/s")


def system_python() -> str | None:
    """The Python that has GStreamer's bindings; None if there is none. Blocking."""
    for python in ("/usr/bin/python3", shutil.which("python3")):
        if python and not subprocess.run([python, "-c", _CHECK], capture_output=True, check=False).returncode:
            return python
    return None


def _describe(name: str, ours: Sequence[Side], bare: Sequence[Side]) -> list[Row]:
    ratio = statistics.median(one.cpu for one in ours) / statistics.median(one.cpu for one in bare)
    parts = ", ".join(
        f"{part} {_percent(getattr(one, part) for one in ours)}" for part in ("module", "reading", "writing")
    )
    memory = f"module {_median(one.module_mb for one in ours):.0f} MB, its ffmpegs "
    memory += f"{_median(one.ffmpeg_mb for one in ours):.0f} MB"
    target = TARGET_RATIO[name]
    return [
        Row(
            name,
            f"{_percent(one.cpu for one in ours)} of a core ({parts})",
            f"{_percent(one.cpu for one in bare)}; ≤ {target:g} x",
            ratio,
            ratio <= target,
        ),
        Row(f"{name} memory", memory, f"{_median(one.ffmpeg_mb for one in bare):.0f} MB", None, None),
    ]


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _percent(values: Iterable[float]) -> str:
    found = sorted(100 * one for one in values)
    return f"{statistics.median(found):.2f} % [{found[0]:.2f}–{found[-1]:.2f}]"
