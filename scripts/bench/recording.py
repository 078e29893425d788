"""Measures the module while it records a camera of 1280x720 at 20 fps, and bare ffmpeg with the same images.

It measures CPU time per frame. Module and bare ffmpeg take turns, several times with the same images, and the median of
each counts.
"""

import asyncio
import functools
import io
import logging
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import av
import numpy
import psutil
from PIL import Image, ImageDraw
from viam.components.camera import Camera
from viam.components.camera.client import CameraClient
from viam.errors import NotSupportedError
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.common import ResponseMetadata
from viam.utils import ValueTypes

from scripts.bench.pairs import milliseconds, ratio_of
from scripts.bench.processes import cpu_s, memory_mb
from scripts.bench.table import Row
from scripts.fakes.viam_server import Parent
from videostore.config import DEFAULT_BITRATE, DEFAULT_PRESET, DEFAULT_SEGMENT_SECONDS
from videostore.ffmpeg.encoder import Encoder
from videostore.media.segment_names import OPEN_SUFFIX
from videostore.recording.segmenter import recording_command

ROWS = ("record", "async-save", "memory", "stop")
NAME = "bench"
WIDTH, HEIGHT = 1280, 720
FRAMES_PER_SECOND = 20
IMAGES = 100
WARM_UP_FRAMES = 4 * FRAMES_PER_SECOND
SAVES, SAVED_S = 5, 8.0
CALL_TIMEOUT_S = 60.0
TARGET_CPU_RATIO, TARGET_SAVE_S, TARGET_MEMORY_MB, TARGET_STOP_S = 1.10, 3.0, 125.0, 3.0


@dataclass
class Recorded:
    """The measured values. CPU is in seconds per frame, one value per round."""

    module_cpu_s: list[float] = field(default_factory=list)
    child_cpu_s: list[float] = field(default_factory=list)
    bare_cpu_s: list[float] = field(default_factory=list)
    saves_s: list[float] = field(default_factory=list)
    stops_s: list[float] = field(default_factory=list)
    memory: list[tuple[float, float, str]] = field(default_factory=list)
    """The shares (PSS) of module and ffmpeg in MB, and the module's resident memory."""
    dropped: int = 0
    leftovers: int = 0
    unfinished: int = 0

    @property
    def ours_cpu_s(self) -> list[float]:
        """CPU of the module and its ffmpeg together."""
        return [module + child for module, child in zip(self.module_cpu_s, self.child_cpu_s, strict=True)]


class StillCamera(Camera):
    """Answers each request at once with its next image, so that the caller sets the pace.

    The images go forward and backward in turn. `delivered` is the number of answers.
    """

    def __init__(self, name: str, jpegs: Sequence[bytes]) -> None:
        super().__init__(name)
        self.delivered = 0
        self._jpegs = jpegs

    def image(self, number: int) -> bytes:
        """The image of this answer, counted from 0."""
        at = number % (2 * len(self._jpegs) - 2)
        return self._jpegs[min(at, 2 * len(self._jpegs) - 2 - at)]

    async def get_images(self, **kwargs: Any) -> tuple[list[NamedImage], ResponseMetadata]:
        metadata = ResponseMetadata()
        metadata.captured_at.FromNanoseconds(time.time_ns())
        image = NamedImage("color", self.image(self.delivered), CameraMimeType.JPEG)
        self.delivered += 1
        return [image], metadata

    async def get_properties(self, **kwargs: Any) -> Camera.Properties:
        return Camera.Properties(supports_pcd=False, mime_types=[CameraMimeType.JPEG])

    async def get_point_cloud(self, **kwargs: Any) -> tuple[bytes, str]:
        raise NotSupportedError("no point clouds")


@functools.lru_cache(maxsize=1)
def draw_jpegs() -> list[bytes]:
    """Images as from a camera on a wall: a still scene with fine structure, a moving object, and sensor noise."""
    random = numpy.random.default_rng(0)
    scene = numpy.zeros((HEIGHT, WIDTH), numpy.float32)
    for cell_pixels, contrast in ((160, 45), (40, 25), (8, 12), (2, 5)):
        grid = random.normal(128, contrast, (HEIGHT // cell_pixels + 1, WIDTH // cell_pixels + 1))
        coarse = Image.fromarray(grid.clip(0, 255).astype(numpy.uint8))
        scene += numpy.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), numpy.float32) - 128
    noise = random.normal(0, 2.5, (2 * HEIGHT, 2 * WIDTH)).astype(numpy.float32)
    jpegs = []
    for number in range(IMAGES):
        top, left = random.integers(0, HEIGHT), random.integers(0, WIDTH)
        gray = scene + 120 + noise[top : top + HEIGHT, left : left + WIDTH]
        image = Image.fromarray(numpy.dstack((gray * 0.9, gray, gray * 1.1)).clip(0, 255).astype(numpy.uint8))
        x, y = number * WIDTH // IMAGES, HEIGHT // 3
        ImageDraw.Draw(image).rounded_rectangle((x, y, x + 110, y + 320), 40, fill=(60, 40, 110))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        jpegs.append(buffer.getvalue())
    return jpegs


def count_shown(clip: Path | io.BytesIO) -> int:
    """Number of frames that a player shows, without those before the start of the edit list. Blocking."""
    with av.open(clip if isinstance(clip, io.BytesIO) else str(clip)) as container:
        packets = container.demux(container.streams.video[0])
        return sum(packet.pts is not None and packet.pts >= 0 and not packet.is_discard for packet in packets)


def describe_memory(process: psutil.Process) -> tuple[float, str]:
    """Resident memory in MB, and the same as text, with the peak if the system reports it."""
    rss_mb, status = process.memory_info().rss / 1e6, Path(f"/proc/{process.pid}/status")
    peaks = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8")) if status.exists() else []
    return rss_mb, f"{rss_mb:.0f} MB" + "".join(f" (peak {int(peak) * 1024 / 1e6:.0f})" for peak in peaks)


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Measure these rows of `ROWS`."""
    rounds = (2 if quick else 10) if "record" in rows else 1
    frames = FRAMES_PER_SECOND * 8
    camera = StillCamera("still", await asyncio.to_thread(draw_jpegs))
    recorded = Recorded()
    for number in range(rounds):

        async def ours(last: bool = number == rounds - 1) -> None:
            await _record(camera, frames, recorded, saves=SAVES if last and "async-save" in rows else 0)

        sides: list[tuple[str, Callable[[], Awaitable[None]]]] = [("the module", ours)]
        if "record" in rows:
            sides.append(("bare ffmpeg", lambda: _record_bare(camera, frames, binary, recorded)))
        for name, side in sides if number % 2 == 0 else reversed(sides):
            say(f"record: {name}, {frames / FRAMES_PER_SECOND:.0f} s, round {number + 1} of {rounds}")
            await side()
    return [row for row in _describe(recorded, frames) if row.name.split()[0].rstrip(":") in rows]


async def _record(camera: StillCamera, frames: int, recorded: Recorded, *, saves: int) -> None:
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        async with Parent([camera]) as parent:
            await parent.start_module()
            upload = Path(directory, "upload")
            storage = {"size_gb": 1, "storage_path": f"{directory}/storage", "upload_path": str(upload)}
            attributes: Mapping[str, Any] = {"camera": camera.name, "sync": "data-manager", "storage": storage}
            camera.delivered = 0
            await parent.add(NAME, {**attributes, "framerate": FRAMES_PER_SECOND})
            await _wait_for(lambda: camera.delivered >= WARM_UP_FRAMES)
            children = parent.children()
            module = psutil.Process(parent.process.pid)
            first, before_s, child_before_s = camera.delivered, cpu_s(module), sum(map(cpu_s, children))
            await _wait_for(lambda: camera.delivered >= WARM_UP_FRAMES + frames)
            count = camera.delivered - first
            if [child.pid for child in parent.children()] != [child.pid for child in children]:
                raise RuntimeError("the module's ffmpeg was restarted during the measurement")
            recorded.module_cpu_s.append((cpu_s(module) - before_s) / count)
            recorded.child_cpu_s.append((sum(map(cpu_s, children)) - child_before_s) / count)
            client = parent.camera(NAME)
            status = await client.get_status(timeout=CALL_TIMEOUT_S)
            dropped = status["dropped_frames"]
            assert isinstance(dropped, float)
            recorded.dropped += int(dropped)
            recorded.saves_s += [await _save(client, upload, number) for number in range(saves)]
            recorded.memory.append((memory_mb([module]), memory_mb(parent.children()), describe_memory(module)[1]))
            recorded.stops_s.append(await parent.terminate())
            recorded.leftovers += len(parent.leftovers())
            recorded.unfinished += len(list(Path(directory, "storage").glob(f"*{OPEN_SUFFIX}")))


async def _save(client: CameraClient, upload: Path, number: int) -> float:
    """Seconds from the request of a clip that ends now until its file exists."""
    await asyncio.sleep(0.2 * number)  # each at a different time before the next keyframe
    now, began = time.time(), time.monotonic()
    span: dict[str, ValueTypes] = {"from": _stamp(now - SAVED_S), "to": _stamp(now)}
    answer = await client.do_command({"command": "save", "async": True, **span}, timeout=CALL_TIMEOUT_S)
    path = upload / str(answer["filename"])
    await _wait_for(path.exists)
    elapsed_s = time.monotonic() - began
    shown = await asyncio.to_thread(count_shown, path)
    if abs(shown - SAVED_S * FRAMES_PER_SECOND) > 2:
        raise RuntimeError(f"a saved clip of {SAVED_S:g} s shows {shown} frames")
    return elapsed_s


async def _record_bare(camera: StillCamera, frames: int, binary: str, recorded: Recorded) -> None:
    """Feed ffmpeg at the same pace with a stream of JPEGs dated by arrival. All other options are the module's."""
    encoder = Encoder("libx264", DEFAULT_BITRATE, DEFAULT_PRESET, FRAMES_PER_SECOND)
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as directory:
        ours = recording_command(
            binary,
            encoder=encoder,
            directory=Path(directory),
            epoch_us=time.time_ns() // 1000,
            segment_seconds=DEFAULT_SEGMENT_SECONDS,
            logger=logging.getLogger("bench"),
        )
        source = ["-f", "image2pipe", "-c:v", "mjpeg", "-use_wallclock_as_timestamps", "1", "-threads", "1"]
        process = await asyncio.create_subprocess_exec(
            *[binary, *source, "-i", *ours[ours.index("pipe:0") :]],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,  # the command reports each of its outputs
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdin is not None
            measured = psutil.Process(process.pid)
            due, before_s = time.monotonic(), 0.0
            for number in range(WARM_UP_FRAMES + frames):
                if number == WARM_UP_FRAMES:
                    before_s = cpu_s(measured)
                process.stdin.write(camera.image(number))
                await process.stdin.drain()
                due += 1 / FRAMES_PER_SECOND
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            recorded.bare_cpu_s.append((cpu_s(measured) - before_s) / frames)
            process.stdin.close()
            if await asyncio.wait_for(process.wait(), CALL_TIMEOUT_S) != 0:
                raise RuntimeError("bare ffmpeg failed")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _describe(recorded: Recorded, frames: int) -> list[Row]:
    rows = []
    if recorded.bare_cpu_s:
        ours, bare = recorded.ours_cpu_s, recorded.bare_cpu_s
        ratio = ratio_of(ours, bare)
        dropped = f", {recorded.dropped} frames dropped" if recorded.dropped else ""
        pairs = f"{len(ours)} pairs of {frames // FRAMES_PER_SECOND} s{dropped}"
        against = f"{milliseconds(bare, 1)}; ≤ {TARGET_CPU_RATIO:.2f} x"
        ok = ratio <= TARGET_CPU_RATIO and not recorded.dropped
        encoder = ratio_of(recorded.child_cpu_s, bare)
        rows += [
            Row("record", f"{milliseconds(ours, 1)} CPU/frame, {pairs}", against, ratio, ok),
            Row("record: module", f"{milliseconds(recorded.module_cpu_s, 2)} CPU/frame", "", None, None),
            Row(
                "record: ffmpeg",
                f"{milliseconds(recorded.child_cpu_s, 1)} CPU/frame",
                milliseconds(bare, 1),
                encoder,
                None,
            ),
        ]
    if recorded.saves_s:
        worst = max(recorded.saves_s)
        ours_text = f"{statistics.median(recorded.saves_s):.2f} s median, {worst:.2f} s max of {len(recorded.saves_s)}"
        rows.append(Row("async-save", ours_text, f"≤ {TARGET_SAVE_S:g} s", None, worst <= TARGET_SAVE_S))
    module_mb, ffmpeg_mb, resident = max(recorded.memory)
    sum_mb = module_mb + ffmpeg_mb
    text = f"module {module_mb:.0f} MB + ffmpeg {ffmpeg_mb:.0f} MB = {sum_mb:.0f} MB (module resident {resident})"
    rows.append(Row("memory recording", text, f"≤ {TARGET_MEMORY_MB:g} MB", None, sum_mb <= TARGET_MEMORY_MB))
    stop = max(recorded.stops_s)
    text = f"{stop:.2f} s max of {len(recorded.stops_s)}"
    if recorded.leftovers or recorded.unfinished:
        text += f", left behind: {recorded.leftovers} processes, {recorded.unfinished} open segments"
    ok = stop < TARGET_STOP_S and not recorded.leftovers and not recorded.unfinished
    rows.append(Row("stop", text, f"< {TARGET_STOP_S:g} s", None, ok))
    return rows


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d_%H-%M-%S.%fZ")


async def _wait_for(condition: Callable[[], bool]) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 -- another process makes it true.
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), CALL_TIMEOUT_S)
