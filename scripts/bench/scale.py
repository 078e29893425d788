"""Measures how the store's costs grow with what is stored: directories of 1,000, 30,000 and 300,000 segments.

The store runs in this process, so that only its own costs are measured. A camera is recorded during the two long jobs:
a rebuild of the index, and the deletion of thousands of segments. All directories have the same number of gaps, because
the answer to get-storage-state grows with them. The files are in the system's memory; a slow disk adds its own time.

The directories are made below `BENCH_DIR`, by default the temporary directory. 300,000 segments take 4 GB meanwhile.
"""

import asyncio
import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from scripts.bench.scale_table import Disturbance, Figures, Line, describe
from scripts.bench.segments import (
    CLIP_S,
    FRAMES_PER_SECOND,
    SEGMENT_S,
    Directory,
    black_packet,
    make_directory,
    recorded_since,
    write_file,
    write_index,
)
from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import NothingStoredError, TooLargeError
from videostore.base.time_format import format_utc_exact
from videostore.media.fmp4 import read_fragments
from videostore.media.packet import Packet
from videostore.media.segment_names import closed_name, open_name
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore
from videostore.viam.commands import execute

NAME = "scale"


SIZES, QUICK_SIZES = (1_000, 30_000, 300_000), (1_000, 10_000)


GAPS, GAP_S = 50, 60


DELETED = 10_000
"""Segments that the quota deletes, or half of them if that is less."""


REBUILD_S = 60.0
"""A longer rebuild is measured for this time, then the benchmark writes the index itself."""


SHORT_S = 2.0
"""Length of the segments that are recorded meanwhile, short so that many are closed."""


RECORD_S = 5.0
"""Recording lasts at least this long: the first second is still in the encoder."""


NEW_SEGMENTS, NEW_AT_ONCE, STATES, PLANS, FETCHES = 15, 30, 50, 30, 15


IDLE_S, SETTLE_S, TICK_S = 10.0, 1.0, 0.01


_TIMEOUT_S = 120.0


class LiveCamera:
    """A source in real time that remembers its capture times."""

    def __init__(self) -> None:
        self.delivered_us: list[int] = []

    async def packets(self) -> AsyncIterator[Packet]:
        due = time.monotonic()
        while True:
            self.delivered_us.append(time.time_ns() // 1000)
            yield black_packet(self.delivered_us[-1])
            due = max(due + 1 / FRAMES_PER_SECOND, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


class Ticker:
    """Owns a task that measures for how long the event loop is blocked."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def __aenter__(self) -> "Ticker":
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _tick(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK_S)
            self.worst = max(self.worst, time.monotonic() - began - TICK_S)


async def measure(binary: str, *, quick: bool, say: Callable[[str], None]) -> tuple[list[str], list[Line]]:
    """Measure all sizes. Returns the headings and the lines of the table."""
    found, sizes = [], QUICK_SIZES if quick else SIZES
    for count in (sizes[0], *sizes):
        with tempfile.TemporaryDirectory(prefix="videostore-bench-", dir=os.environ.get("BENCH_DIR")) as root:
            found.append(await measure_size(Path(root), count, binary, say))
            say(f"scale {count:,}: removing")
    # The first time in a process takes up to twice as long, so the first round does not count.
    return ["cost", *(f"{count:,}" for count in sizes), "growth", "target", "ok?"], describe(found[1:])


async def measure_size(root: Path, count: int, binary: str, say: Callable[[str], None]) -> Figures:
    """All measurements with one directory. Raises RuntimeError if the store does not do what is measured."""
    figures = Figures()
    say(f"scale {count:,}: making the segments")
    # The newest segment is old enough that recordings made meanwhile are separate.
    newest_end_us = time.time_ns() // 1000 - 3600 * US_PER_SECOND
    directory = await make_directory(root / "storage", count, newest_end_us, binary, gaps=GAPS, gap_s=GAP_S)

    say(f"scale {count:,}: rebuild, up to {REBUILD_S:.0f} s of it")
    await _measure_rebuild(directory, figures)
    await write_index(directory.path, directory.template, directory.starts_us)

    say(f"scale {count:,}: start, idle, new segments and requests")
    unknown_us = directory.end_us + 2 * SEGMENT_S * US_PER_SECOND
    write_file(directory.path / closed_name(unknown_us), directory.template.content(unknown_us))
    async with directory.opened() as store:
        await _measure_start(store, directory, figures)
        await asyncio.sleep(SETTLE_S)
        cpu, began = time.process_time(), time.monotonic()
        await asyncio.sleep(IDLE_S)
        figures.idle = (time.process_time() - cpu) / (time.monotonic() - began)
        await _measure_requests(store, directory, figures)
        await _measure_new(store, directory, figures, unknown_us + 2 * SEGMENT_S * US_PER_SECOND)

    say(f"scale {count:,}: quota")
    await _measure_quota(directory, figures)
    return figures


async def _measure_rebuild(directory: Directory, figures: Figures) -> None:
    camera, began_us = LiveCamera(), time.time_ns() // 1000
    from_us = directory.end_us - CLIP_S * US_PER_SECOND
    async with directory.opened(camera, segment_s=SHORT_S) as store, Ticker() as ticker:
        began = time.monotonic()
        await store.start()
        while store.health().segments < directory.count and time.monotonic() - began < REBUILD_S:
            figures.rebuild_states.append(await _time_state(store))
            with contextlib.suppress(NothingStoredError):
                figures.rebuild_fetches.append(await _time_fetch(store, from_us))
                figures.rebuild_first_fetch = figures.rebuild_first_fetch or time.monotonic() - began
            await asyncio.sleep(0.5 if figures.rebuild_first_fetch else 0.02)
        figures.rebuilt_per_s = store.health().segments / (time.monotonic() - began)
        if not figures.rebuild_first_fetch:  # a small directory was indexed before the first fetch
            await _time_fetch(store, from_us)
            figures.rebuild_first_fetch = time.monotonic() - began
        figures.rebuild.blocked = ticker.worst
        await asyncio.sleep(max(0.0, RECORD_S - (time.monotonic() - began)))
    await asyncio.to_thread(_check_recording, directory.path, camera, began_us, figures.rebuild)
    for path in await asyncio.to_thread(recorded_since, directory.path, began_us):
        path.unlink()
    for path in directory.path.glob(f"{FILE_NAME}*"):
        path.unlink()


async def _measure_start(store: VideoStore, directory: Directory, figures: Figures) -> None:
    async with Ticker() as ticker:
        began = time.monotonic()
        await store.start()
        figures.start = time.monotonic() - began
        started, started_cpu = time.monotonic(), time.process_time()
        if store.health().segments != directory.count:
            raise RuntimeError(f"the index has {store.health().segments} segments of {directory.count}")
        ticker.worst = 0.0
        # The walk indexes the one segment that the index lacks.
        await _until(_indexed(store, directory.count + 1))
        await _until(store._archive.reconciled.is_set)  # it is done when it has compared all sizes
        figures.walk, figures.walk_cpu = time.monotonic() - started, time.process_time() - started_cpu
        figures.walk_blocked = ticker.worst


async def _measure_requests(store: VideoStore, directory: Directory, figures: Figures) -> None:
    from_us = directory.middle_us
    for _ in range(STATES):
        figures.states.append(await _time_state(store))
    for _ in range(PLANS):
        began = time.monotonic()
        with contextlib.suppress(TooLargeError):  # raised after the segments are selected, before anything is cut
            await store.fetch(from_us, from_us + CLIP_S * US_PER_SECOND, limit_bytes=0)
        figures.plans.append(time.monotonic() - began)
    for _ in range(FETCHES):
        figures.fetches.append(await _time_fetch(store, from_us))


async def _measure_new(store: VideoStore, directory: Directory, figures: Figures, from_us: int) -> None:
    """Segments as ffmpeg closes them, which the watcher reports: first one by one, then many at once."""
    contents = []
    for number in range(NEW_SEGMENTS + NEW_AT_ONCE):
        start_us = from_us + number * SEGMENT_S * US_PER_SECOND
        contents.append((directory.path / open_name(start_us, 0), directory.template.content(start_us)))
    for path, content in contents[:NEW_SEGMENTS]:
        before, began = store.health().segments, time.monotonic()
        write_file(path, content)
        await _until(_indexed(store, before + 1), 0.001)
        figures.new.append(time.monotonic() - began)
    before, cpu = store.health().segments, time.process_time()
    for path, content in contents[NEW_SEGMENTS:]:
        write_file(path, content)
    await _until(_indexed(store, before + NEW_AT_ONCE), 0.05)
    figures.new_cpu = (time.process_time() - cpu) / NEW_AT_ONCE


async def _measure_quota(directory: Directory, figures: Figures) -> None:
    camera, began_us = LiveCamera(), time.time_ns() // 1000
    stored = directory.count + 1 + NEW_SEGMENTS + NEW_AT_ONCE
    kept = stored - min(DELETED, directory.count // 2)
    quota_bytes = kept * len(directory.template.data)
    async with directory.opened(camera) as store, Ticker() as ticker:
        await store.start()
        await _until(store._archive.reconciled.is_set)  # the walk after a start is measured separately
        store._maintainer._retention._quota_bytes = quota_bytes
        store._maintainer._grown.set()
        ticker.worst, before, began = 0.0, store.health().segments, time.monotonic()
        await _until(lambda: store.health().segments < stored)
        # The open segment grows meanwhile. What exceeds the quota at the end waits for the next round of maintenance.
        enough_bytes = quota_bytes + 2 * len(directory.template.data)
        await _until(lambda: store.health().stored_bytes <= enough_bytes)
        elapsed_s = time.monotonic() - began
        figures.deleting = elapsed_s / max(1, before - store.health().segments)
        await asyncio.sleep(RECORD_S)  # the watcher still reports each deletion
        figures.quota.blocked = ticker.worst
    await asyncio.to_thread(_check_recording, directory.path, camera, began_us, figures.quota)


def _check_recording(path: Path, camera: LiveCamera, began_us: int, found: Disturbance) -> None:
    """Compare the recording with what the camera delivered, up to the last recorded frame. Blocking."""
    recorded: list[int] = []
    for segment in recorded_since(path, began_us):
        recorded += read_fragments(segment).times_us
    recorded.sort()
    delivered = [time_us for time_us in camera.delivered_us if recorded and time_us <= recorded[-1] + 1000]
    if len(recorded) < FRAMES_PER_SECOND:
        raise RuntimeError(f"only {len(recorded)} frames were recorded")
    found.lost = len(delivered) - len(recorded)
    found.interval = max(b - a for a, b in itertools.pairwise(recorded)) / US_PER_SECOND


async def _time_state(store: VideoStore) -> float:
    began = time.monotonic()
    await execute(store, {"command": "get-storage-state"})
    return time.monotonic() - began


async def _time_fetch(store: VideoStore, from_us: int) -> float:
    """Seconds to fetch a clip of `CLIP_S`. Raises NothingStoredError."""
    to_us = from_us + CLIP_S * US_PER_SECOND
    began = time.monotonic()
    span = {"from": format_utc_exact(from_us), "to": format_utc_exact(to_us)}
    answer = await execute(store, {"command": "fetch", **span})
    elapsed_s = time.monotonic() - began
    if "ranges" in answer:
        raise RuntimeError(f"a clip lacks a part of its range: {answer['ranges']}")
    return elapsed_s


def _indexed(store: VideoStore, segments: int) -> Callable[[], bool]:
    return lambda: store.health().segments >= segments


async def _until(condition: Callable[[], bool], every_s: float = 0.01) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 -- tasks of the store make it true without an event.
            await asyncio.sleep(every_s)

    await asyncio.wait_for(poll(), _TIMEOUT_S)
