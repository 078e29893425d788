"""Measures what large answers cost a recorder: for how long its event loop stands still, and its memory.

The clients are in processes of their own, so that only the recorder's side is measured. Most rows run the recorder's
service in this process, over a socket; the one about memory runs the module.
"""

import asyncio
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from grpclib.server import Server
from viam.resource.manager import ResourceManager

from scripts.bench.recording import describe_memory
from scripts.bench.scale import LiveCamera, Ticker
from scripts.bench.segments import SEGMENT_S, make_directory, write_index
from scripts.bench.table import Row
from scripts.fakes.module_process import ROOT
from scripts.fakes.viam_server import Parent
from scripts.fakes.viam_services import windows
from videostore.base.constants import US_PER_SECOND
from videostore.base.system import favour_event_loop
from videostore.base.time_format import format_utc_exact
from videostore.config import StorageConfig, parse_config
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Packet, StreamFormat
from videostore.recording.run import Run
from videostore.store.store import VideoStore
from videostore.viam.camera import StorageCamera
from videostore.viam.camera_service import StorageCameraService
from videostore.viam.memory import reduce_garbage_collections

ROWS = ("answers",)
RANGES, FETCHES, REQUESTS = 50_000, 12, 3
SEGMENTS, QUICK_SEGMENTS = 100_000, 10_000
NAME = "bench"
TARGET_BLOCKED_S, TARGET_RSS_MB = 0.05, 400.0
CLIP_BYTES = 22_000_000
_FORMAT = StreamFormat("rawvideo", 640, 360)
_FRAMES, _FRAMES_PER_SECOND = 400, 20
_START_US = 1_700_000_000 * US_PER_SECOND


class _Callbacks:
    """Measures the most CPU time that a callback of the event loop takes. Other programs do not add to it."""

    def __init__(self) -> None:
        self.worst = 0.0

    def __enter__(self) -> "_Callbacks":
        self._run = run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            run(handle)
            self.worst = max(self.worst, time.thread_time() - began)

        setattr(asyncio.Handle, "_run", timed)  # noqa: B010 (not a method that types know)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.Handle._run = self._run  # type: ignore[method-assign]


async def measure(rows: Sequence[str], binary: str, *, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """The rows of `ROWS`."""
    if not rows:
        return []
    with tempfile.TemporaryDirectory(prefix="videostore-bench-") as name:
        directory = Path(name)
        say(f"answers: {REQUESTS} times the state of {RANGES:,} ranges")
        state = await _measure_state(directory, binary)
        say(f"answers: {FETCHES} fetches of {CLIP_BYTES / 1e6:.0f} MB at once")
        to_us = await _record_noise(directory / "noise", binary)
        fetches = await _measure_fetches(directory, to_us, binary)
        segments = QUICK_SEGMENTS if quick else SEGMENTS
        say(f"answers: a range of {segments:,} segments")
        return [state, *fetches, *await _measure_long_range(directory, segments, binary)]


async def _measure_state(directory: Path, binary: str) -> Row:
    camera = LiveCamera()
    storage = StorageConfig(1.0, directory / "state", directory / "upload", 2.0)
    encoder = Encoder("libx264", 100_000, "ultrafast", _FRAMES_PER_SECOND)
    async with _served(directory, storage, binary, source=camera, encoder=encoder) as (store, socket, ticker):
        for number in range(RANGES):
            start_us = _START_US + number * 60 * US_PER_SECOND
            store._archive.timeline.add(start_us, start_us + 30 * US_PER_SECOND, 0)
        await asyncio.sleep(2)
        ticker.worst, began = 0.0, time.monotonic()
        with _Callbacks() as callbacks:
            for _ in range(REQUESTS):
                await _ask(socket, 1, {"command": "get-storage-state"})
        took_s = (time.monotonic() - began) / REQUESTS
        dropped = health.dropped_frames if (health := store.health().recorder) else 0
        worst_s = ticker.worst
    ours = f"{_blocked(worst_s, callbacks)}, {took_s:.2f} s per answer, {dropped} frames dropped"
    ok = worst_s <= TARGET_BLOCKED_S and not dropped
    return Row(f"answers: loop blocked by {RANGES:,} ranges", ours, f"≤ {TARGET_BLOCKED_S * 1000:.0f} ms", None, ok)


async def _measure_fetches(directory: Path, to_us: int, binary: str) -> list[Row]:
    command = {"command": "fetch", "from": format_utc_exact(_START_US), "to": format_utc_exact(to_us)}
    storage = StorageConfig(10.0, directory / "noise", directory / "upload", 30.0)
    async with _served(directory, storage, binary) as (_, socket, ticker):
        ticker.worst = 0.0
        with _Callbacks() as callbacks:
            await _ask(socket, FETCHES, command)
        worst_s = ticker.worst
    async with Parent() as parent:
        await parent.start_module()
        attributes = {
            "sync": "data-manager",
            "storage": {"size_gb": 10, "storage_path": str(directory / "noise"), "upload_path": f"{directory}/upload"},
        }
        await parent.add(NAME, attributes)
        module_socket = str(parent.directory / "module-1.sock")
        sent = await _ask(module_socket, FETCHES, command)
        _, text = describe_memory(psutil.Process(parent.process.pid))
    peak_mb = float(text.partition("peak ")[2].rstrip(")") or "nan")
    each = f"{FETCHES} clips of {sent / FETCHES * 3 / 4 / 1e6:.0f} MB at once"
    blocked = _blocked(worst_s, callbacks)
    return [
        Row(f"answers: loop blocked by {each}", blocked, f"≤ {TARGET_BLOCKED_S * 1000:.0f} ms", None, worst_s <= 0.05),
        Row(f"answers: memory with {each}", text, f"peak ≤ {TARGET_RSS_MB:.0f} MB", None, peak_mb <= TARGET_RSS_MB),
    ]


async def _measure_long_range(directory: Path, segments: int, binary: str) -> list[Row]:
    """What commands about all of a large directory take of the loop. Its segments are small and in the index."""
    newest_end_us = time.time_ns() // 1000 - 3600 * US_PER_SECOND
    made = await make_directory(directory / "long", segments, newest_end_us, binary, gaps=0, gap_s=0)
    await write_index(made.path, made.template, made.starts_us)
    storage = StorageConfig(100.0, made.path, directory / "long-upload", float(SEGMENT_S))
    logging.getLogger("grpclib.server").setLevel(logging.CRITICAL)  # it logs refusals, which the SDK's server does not
    span = {"from": format_utc_exact(made.starts_us[0]), "to": format_utc_exact(made.end_us)}
    rows = []
    async with _served(directory, storage, binary) as (store, socket, ticker):
        await store._archive.reconciled.wait()

        async def plan() -> None:
            async with store._clips.plan(made.starts_us[0], made.end_us) as plan:
                if len(plan.parts) != segments:
                    raise RuntimeError(f"the plan has {len(plan.parts)} of {segments} segments")

        async def save() -> None:
            """Until ffmpeg writes the clip."""
            await _ask(socket, 1, {"command": "save", **span, "async": True})
            while not list(storage.upload_path.glob("*.mp4.????????????????.prog")):
                if failed := store.health().failed_saves:
                    raise RuntimeError(failed[0].reason)
                await asyncio.sleep(0.05)

        measured: dict[str, Callable[[], Awaitable[Any]]] = {
            "get-storage-state": lambda: _ask(socket, 1, {"command": "get-storage-state"}),
            "fetch": lambda: _ask(socket, 1, {"command": "fetch", **span}, refused=True),
            "a plan": plan,
            "an asynchronous save": save,
        }
        for name, work in measured.items():
            ticker.worst, began = 0.0, time.monotonic()
            with _Callbacks() as callbacks:
                await work()
            worst_s = ticker.worst
            ours = f"{_blocked(worst_s, callbacks)}, {time.monotonic() - began:.1f} s in all"
            target, ok = f"≤ {TARGET_BLOCKED_S * 1000:.0f} ms", worst_s <= TARGET_BLOCKED_S
            rows.append(Row(f"answers: loop blocked by {name} of {segments:,} segments", ours, target, None, ok))
    return rows


@asynccontextmanager
async def _served(
    directory: Path, storage: StorageConfig, binary: str, **recording: Any
) -> AsyncIterator[tuple[VideoStore, str, Ticker]]:
    """A store behind the module's service, on a socket."""
    attributes = {"sync": "data-manager", "storage": {"size_gb": 1}}
    reduce_garbage_collections()  # as the module does, and so is this
    favour_event_loop()
    camera = StorageCamera(parse_config(NAME, attributes)[0], None)
    socket = str(directory / f"{storage.storage_path.name}.sock")
    async with VideoStore(NAME, storage, binary=binary, **recording) as store, Ticker() as ticker:
        camera._store = store
        server = Server([StorageCameraService(ResourceManager([camera]))], config=windows())
        await server.start(path=socket)
        try:
            yield store, socket, ticker
        finally:
            server.close()
            await server.wait_closed()


async def _ask(socket: str, count: int, command: Mapping[str, Any], *, refused: bool = False) -> int:
    """Ask in another process. Returns the bytes of all answers, none if the command is to be refused."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "scripts.bench.answer_client", socket, NAME, str(count), json.dumps(command)],
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL if refused else None,
    )
    output, _ = await process.communicate()
    if bool(process.returncode) is not refused:
        raise RuntimeError("the command was not refused" if refused else "the client failed")
    return int(output or 0)


def _blocked(worst_s: float, callbacks: _Callbacks) -> str:
    return f"{worst_s * 1000:.0f} ms ({callbacks.worst * 1000:.0f} of CPU)"


async def _record_noise(directory: Path, binary: str) -> int:
    """Record noise, of which a few seconds are a clip of `CLIP_BYTES`. Returns when that clip ends."""
    directory.mkdir()
    dice = random.Random(0)
    pictures = [dice.randbytes(640 * 360 * 4) for _ in range(8)]
    times = [_START_US + number * US_PER_SECOND // _FRAMES_PER_SECOND for number in range(_FRAMES)]
    run = await Run.start(
        Packet(_FORMAT, pictures[0], times[0]),
        binary=binary,
        encoder=Encoder("libx264", 40_000_000, "ultrafast", _FRAMES_PER_SECOND),
        directory=directory,
        segment_seconds=30,
        logger=logging.getLogger("bench"),
    )
    try:
        for number, time_us in enumerate(times):
            await run.write(Packet(_FORMAT, pictures[number % len(pictures)], time_us))
        await run.finish(patient=True)
    finally:
        await run.kill()
    size_bytes = sum(path.stat().st_size for path in await asyncio.to_thread(run.open_paths))
    return _START_US + round(_FRAMES / _FRAMES_PER_SECOND * US_PER_SECOND * min(1.0, CLIP_BYTES / size_bytes))
