"""Measures how the store's costs grow with what is stored: directories of 1,000, 30,000 and 300,000 segments.

The store runs in this process, for what is asked is what it costs itself. A camera is recorded beside what takes long:
a rebuild of the index, and a deletion of thousands of segments. All directories have as many gaps, for the answer to
get-storage-state grows with them. The files lie in the system's memory: a slow disk comes on top on a real machine.

They are made below `BENCH_DIR`, by default in the temporary directory; 300,000 take 4 GB while it lasts.
"""

import asyncio
import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
from videostore.storage.maintenance import RESCAN_INTERVAL_S
from videostore.store.store import VideoStore
from videostore.viam.commands import execute

NAME = "scale"
SIZES, QUICK_SIZES = (1_000, 30_000, 300_000), (1_000, 10_000)
GAPS, GAP_S = 50, 60
DELETED = 10_000
"""By the quota; half of what there is where that is less."""
REBUILD_S = 60.0
"""A rebuild that takes longer is measured for so long; the benchmark writes the index then."""
SHORT_S = 2.0
"""Segments that are recorded beside it, so that many close meanwhile."""
RECORD_S = 5.0
"""Recorded at least beside it, however short it is: the first second's pictures are still in the encoder."""
NEW_SEGMENTS, NEW_AT_ONCE, STATES, PLANS, FETCHES = 15, 30, 50, 30, 15
IDLE_S, SETTLE_S, TICK_S = 10.0, 1.0, 0.01
WANTED_GROWTH, WANTED_REBUILD, WANTED_START_S, WANTED_STATE_S, WANTED_IDLE = 2.0, 200.0, 3.0, 0.1, 0.01
WANTED_ANSWER_S, WANTED_STILL_S, WANTED_INTERVAL_S = 1.0, 1 / FRAMES_PER_SECOND, 2.5 / FRAMES_PER_SECOND
"""Answers from the first second on; the event loop stands still for no longer than from one frame to the next, so that
a camera is never asked a whole frame late."""
_TIMEOUT_S = 120.0
_NEGLIGIBLE = {"ms": 0.0005, "%": 0.002}
"""A growth by less is noise, whatever its ratio."""


@dataclass
class Disturbance:
    """What the recording felt of other work; in seconds, and frames."""

    still: float = 0.0
    """The longest that the event loop did not come round."""
    lost: int = 0
    """Delivered, and not in any segment, though a later one is."""
    interval: float = 0.0
    """The longest between two recorded frames."""


@dataclass
class Figures:
    """What was measured at one size, in seconds where nothing else is said."""

    rebuilt_per_s: float = 0.0
    rebuild_first_fetch: float = 0.0
    rebuild_states: list[float] = field(default_factory=list)
    rebuild_fetches: list[float] = field(default_factory=list)
    rebuild: Disturbance = field(default_factory=Disturbance)
    start: float = 0.0
    walk: float = 0.0
    walk_cpu: float = 0.0
    walk_still: float = 0.0
    idle: float = 0.0
    """Of a core."""
    new: list[float] = field(default_factory=list)
    new_cpu: float = 0.0
    states: list[float] = field(default_factory=list)
    plans: list[float] = field(default_factory=list)
    fetches: list[float] = field(default_factory=list)
    deleting: float = 0.0
    """Per segment."""
    quota: Disturbance = field(default_factory=Disturbance)


@dataclass(frozen=True)
class Line:
    """One line of the table: a value for each size, and what is wanted of them."""

    name: str
    unit: str
    values: tuple[float, ...]
    limit: float | None = None
    at_least: bool = False
    """Whether the limit is a lower one."""
    steady: bool = False
    """Whether it must not grow beyond `WANTED_GROWTH`."""

    @property
    def growth(self) -> float | None:
        """The last size's against the first's."""
        return self.values[-1] / self.values[0] if self.values[0] else None

    @property
    def ok(self) -> bool | None:
        """None where nothing is wanted."""
        held = []
        if self.limit is not None:
            held.append(min(self.values) >= self.limit if self.at_least else max(self.values) <= self.limit)
        if self.steady:
            slight = self.values[-1] - self.values[0] <= _NEGLIGIBLE.get(self.unit, 0)
            held.append(slight or (self.growth or 0) <= WANTED_GROWTH)
        return all(held) if held else None

    @property
    def cells(self) -> list[str]:
        """Name, values, growth, what is wanted, and whether it is so."""
        wanted = []
        if self.limit is not None:
            wanted.append(f"{'≥' if self.at_least else '≤'} {_shown(self.limit, self.unit)}")
        if self.steady:
            wanted.append(f"growth ≤ {WANTED_GROWTH:g} x")
        growth = "-" if self.growth is None else f"{self.growth:.2f}"
        ok = {True: "yes", False: "NO", None: "-"}[self.ok]
        return [self.name, *(_shown(v, self.unit) for v in self.values), growth, ", ".join(wanted) or "-", ok]


class LiveCamera:
    """A source in real time; remembers when it delivered."""

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
    """Owns a task that notices when the event loop stands still."""

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
    """The headings and the lines of the table."""
    found, sizes = [], QUICK_SIZES if quick else SIZES
    for count in (sizes[0], *sizes):
        with tempfile.TemporaryDirectory(prefix="videostore-bench-", dir=os.environ.get("BENCH_DIR")) as root:
            found.append(await measure_size(Path(root), count, binary, say))
            say(f"scale {count:,}: removing")
    # What is done for the first time in a process takes up to twice as long: the first round is none.
    return ["what", *(f"{count:,}" for count in sizes), "growth", "wanted", "ok?"], describe(found[1:])


def format_lines(headings: Sequence[str], found: Sequence[Line]) -> str:
    """The lines under their headings, in columns."""
    lines = [list(headings), *(line.cells for line in found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    written = [" | ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([written[0], "-+-".join("-" * width for width in widths), *written[1:]])


async def measure_size(root: Path, count: int, binary: str, say: Callable[[str], None]) -> Figures:
    """All measurements on one directory. Raises RuntimeError where the store does not do what is measured."""
    figures = Figures()
    say(f"scale {count:,}: making the segments")
    # The newest lies far enough back that what is recorded meanwhile is no part of it.
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
        if not figures.rebuild_first_fetch:  # a small directory was known before it was asked for once
            await _time_fetch(store, from_us)
            figures.rebuild_first_fetch = time.monotonic() - began
        figures.rebuild.still = ticker.worst
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
            raise RuntimeError(f"the index knows {store.health().segments} segments of {directory.count}")
        ticker.worst = 0.0
        # The walk ends by taking in the one segment that the index does not know.
        await _until(_knows(store, directory.count + 1))
        await _until(store._archive.reconciled.is_set)  # and is over when it has compared all sizes
        figures.walk, figures.walk_cpu = time.monotonic() - started, time.process_time() - started_cpu
        figures.walk_still = ticker.worst


async def _measure_requests(store: VideoStore, directory: Directory, figures: Figures) -> None:
    from_us = directory.middle_us
    for _ in range(STATES):
        figures.states.append(await _time_state(store))
    for _ in range(PLANS):
        began = time.monotonic()
        with contextlib.suppress(TooLargeError):  # is told when the segments are chosen, before anything is cut
            await store.fetch(from_us, from_us + CLIP_S * US_PER_SECOND, limit_bytes=0)
        figures.plans.append(time.monotonic() - began)
    for _ in range(FETCHES):
        figures.fetches.append(await _time_fetch(store, from_us))


async def _measure_new(store: VideoStore, directory: Directory, figures: Figures, from_us: int) -> None:
    """Segments that ffmpeg closes, as the watcher sees them: first one by one, then many at once."""
    contents = []
    for number in range(NEW_SEGMENTS + NEW_AT_ONCE):
        start_us = from_us + number * SEGMENT_S * US_PER_SECOND
        contents.append((directory.path / open_name(start_us, 0), directory.template.content(start_us)))
    for path, content in contents[:NEW_SEGMENTS]:
        before, began = store.health().segments, time.monotonic()
        write_file(path, content)
        await _until(_knows(store, before + 1), 0.001)
        figures.new.append(time.monotonic() - began)
    before, cpu = store.health().segments, time.process_time()
    for path, content in contents[NEW_SEGMENTS:]:
        write_file(path, content)
    await _until(_knows(store, before + NEW_AT_ONCE), 0.05)
    figures.new_cpu = (time.process_time() - cpu) / NEW_AT_ONCE


async def _measure_quota(directory: Directory, figures: Figures) -> None:
    camera, began_us = LiveCamera(), time.time_ns() // 1000
    stored = directory.count + 1 + NEW_SEGMENTS + NEW_AT_ONCE
    kept = stored - min(DELETED, directory.count // 2)
    quota_bytes = kept * len(directory.template.data)
    async with directory.opened(camera) as store, Ticker() as ticker:
        await store.start()
        await _until(store._archive.reconciled.is_set)  # the walk after a start has figures of its own
        store._maintainer._retention._quota_bytes = quota_bytes
        store._maintainer._grown.set()
        ticker.worst, before, began = 0.0, store.health().segments, time.monotonic()
        await _until(lambda: store.health().segments < stored)
        # The open segment grows meanwhile: what it is over the quota by the end waits for the next round of upkeep.
        enough_bytes = quota_bytes + 2 * len(directory.template.data)
        await _until(lambda: store.health().stored_bytes <= enough_bytes)
        elapsed_s = time.monotonic() - began
        figures.deleting = elapsed_s / max(1, before - store.health().segments)
        await asyncio.sleep(RECORD_S)  # the watcher's word of each deletion is still to come
        figures.quota.still = ticker.worst
    await asyncio.to_thread(_check_recording, directory.path, camera, began_us, figures.quota)


def _check_recording(path: Path, camera: LiveCamera, began_us: int, found: Disturbance) -> None:
    """Compare what is recorded with what was delivered, up to the last frame that is recorded. Blocking."""
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
    """Of a clip of `CLIP_S`. Raises NothingStoredError."""
    to_us = from_us + CLIP_S * US_PER_SECOND
    began = time.monotonic()
    span = {"from": format_utc_exact(from_us), "to": format_utc_exact(to_us)}
    answer = await execute(store, {"command": "fetch", **span})
    elapsed_s = time.monotonic() - began
    if "ranges" in answer:
        raise RuntimeError(f"a clip lacks a part of its range: {answer['ranges']}")
    return elapsed_s


def _knows(store: VideoStore, segments: int) -> Callable[[], bool]:
    return lambda: store.health().segments >= segments


async def _until(condition: Callable[[], bool], every_s: float = 0.01) -> None:
    async def poll() -> None:
        while not condition():  # noqa: ASYNC110 -- the store's tasks make it true, and tell nobody.
            await asyncio.sleep(every_s)

    await asyncio.wait_for(poll(), _TIMEOUT_S)


def describe(found: Sequence[Figures]) -> list[Line]:
    """The lines of the table, from what was measured at each size."""

    def each(value: Callable[[Figures], float]) -> tuple[float, ...]:
        return tuple(map(value, found))

    def best(values: Callable[[Figures], Sequence[float]]) -> tuple[float, ...]:
        # What other programs do on the machine can only add to it, and differs from size to size.
        return tuple(min(values(one)) for one in found)

    def worst(values: Callable[[Figures], Sequence[float]]) -> tuple[float, ...]:
        return tuple(max(values(one), default=0.0) for one in found)

    return [
        Line("rebuild", "/s", each(lambda f: f.rebuilt_per_s), WANTED_REBUILD, at_least=True),
        Line("rebuild: newest minute fetched after", "s", each(lambda f: f.rebuild_first_fetch), WANTED_ANSWER_S),
        Line("rebuild: slowest fetch of it", "ms", worst(lambda f: f.rebuild_fetches), WANTED_ANSWER_S),
        Line("rebuild: slowest state", "ms", worst(lambda f: f.rebuild_states), WANTED_STATE_S),
        Line("rebuild: event loop stood still", "ms", each(lambda f: f.rebuild.still), WANTED_STILL_S),
        Line("rebuild: frames lost", "", each(lambda f: f.rebuild.lost), 0),
        Line("rebuild: longest interval recorded", "ms", each(lambda f: f.rebuild.interval), WANTED_INTERVAL_S),
        Line("start with an intact index", "s", each(lambda f: f.start), WANTED_START_S),
        Line("walk: duration", "s", each(lambda f: f.walk)),
        Line("walk: CPU", "s", each(lambda f: f.walk_cpu)),
        Line("walk: event loop stood still", "ms", each(lambda f: f.walk_still), WANTED_STILL_S),
        Line("idle CPU", "%", each(lambda f: f.idle), WANTED_IDLE, steady=True),
        Line(
            f"idle CPU, with a walk each {RESCAN_INTERVAL_S:g} s",
            "%",
            each(lambda f: f.idle + f.walk_cpu / RESCAN_INTERVAL_S),
            WANTED_IDLE,
        ),
        Line("new segment: until it is known, best", "ms", best(lambda f: f.new), steady=True),
        Line("new segment: CPU", "ms", each(lambda f: f.new_cpu), steady=True),
        Line("state: best", "ms", best(lambda f: f.states), steady=True),
        Line("state: slowest", "ms", worst(lambda f: f.states), WANTED_STATE_S),
        Line(f"select for {CLIP_S} s: best", "ms", best(lambda f: f.plans), steady=True),
        Line(f"fetch of {CLIP_S} s: best", "ms", best(lambda f: f.fetches), steady=True),
        Line("quota: per deleted segment", "µs", each(lambda f: f.deleting), steady=True),
        Line("quota: event loop stood still", "ms", each(lambda f: f.quota.still), WANTED_STILL_S),
        Line("quota: frames lost", "", each(lambda f: f.quota.lost), 0),
        Line("quota: longest interval recorded", "ms", each(lambda f: f.quota.interval), WANTED_INTERVAL_S),
    ]


def _shown(value: float, unit: str) -> str:
    if unit == "ms":
        return f"{value * 1000:.1f} ms"
    if unit == "µs":
        return f"{value * 1e6:.0f} µs"
    if unit == "%":
        return f"{value * 100:.2f} %"
    if unit == "s":
        return f"{value:.2f} s"
    return f"{value:,.0f}{unit}"
