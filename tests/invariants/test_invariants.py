"""The invariants of the design, each watched while a recorder lives through what a seed has in store for it."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import functools
import hashlib
import itertools
import logging
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.faults.test_clock import Begin, Life, begin  # noqa: F401 (a fixture)
from tests.support.recording import SMALL, START_US, US, Pulse, Stores, capture_times, record, until, write_foreign
from videostore.base.errors import NoRoomError, NothingStoredError, VideoStoreError
from videostore.clips.uploads import PROGRESS_SUFFIX
from videostore.clips.workspace import WORK_DIRECTORY
from videostore.media.fmp4 import NotOursError, read_fragments
from videostore.media.packet import Gap, Packet
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore
from videostore.viam.commands import execute

MIB = 1 << 20
_SOON_S = 12.0
"""Within this a closed file is in the index, also on a busy machine and while the index is being rebuilt."""


class FaultyPulse(Pulse):
    """A pulse between whose pictures a test can put gaps and exceptions."""

    def __init__(self, interval_s: float = 0.1, size: tuple[int, int] = SMALL) -> None:
        super().__init__(interval_s, size)
        self.asides: deque[Gap | Exception] = deque()

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        async with aclosing(super().packets()) as packets:  # type: ignore[type-var]
            async for item in packets:
                while self.asides:
                    aside = self.asides.popleft()
                    if isinstance(aside, Exception):
                        raise aside
                    yield aside
                yield item


@contextlib.asynccontextmanager
async def watching(look: Callable[[], None], interval_s: float = 0.005) -> AsyncIterator[None]:
    """Look from a thread of its own, again and again; what it finds wrong is raised in the end."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(interval_s):
            look()
        look()

    task = asyncio.create_task(asyncio.to_thread(watch))
    try:
        yield
    finally:
        ended.set()
        await task


def files_in(directory: Path, *patterns: str) -> dict[Path, os.stat_result]:
    """The files of a directory that are there at this moment."""
    found = {}
    for pattern in patterns:
        for path in directory.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.is_file():
                    found[path] = status
    return found


def ffmpegs(ending: str) -> list[psutil.Process]:
    """ffmpeg children of this process that write to a path that ends so."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any(argument.endswith(ending) for argument in child.cmdline()):
                found.append(child)
    return found


def kill_recording() -> None:
    for process in ffmpegs(".open"):
        process.kill()


def closed(storage: Path) -> list[Path]:
    """The closed segments; what is a link or a directory is none."""
    return sorted(path for path in storage.glob("[0-9]*.mp4") if path.is_file() and not path.is_symlink())


async def fetch_something(store: VideoStore, dice: random.Random) -> None:
    """A clip of the last seconds, if there is anything."""
    to_us = time.time_ns() // 1000 - round(dice.uniform(0, 3) * US)
    with contextlib.suppress(NothingStoredError):
        await store.fetch(to_us - round(dice.uniform(0.3, 2) * US), to_us)


def rename_one(storage: Path, dice: random.Random) -> None:
    """Somebody gives a closed segment another name that can be a segment's."""
    if paths := closed(storage):
        path = dice.choice(paths)
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(f"{int(path.stem) + 1_000_000}.mp4"))


def lose_index(storage: Path, dice: random.Random) -> None:
    """It is deleted, or written over with garbage."""
    if dice.random() < 0.5:
        for path in storage.glob(FILE_NAME + "*"):
            path.unlink(missing_ok=True)
    else:
        (storage / FILE_NAME).write_bytes(b"garbage" * 1000)


# 1


async def test_invariant_1_every_file_is_open_or_indexed_or_soon_will_be_and_nothing_of_others_is_deleted(
    stores: Stores, tmp_path: Path
) -> None:
    dice = random.Random(1)
    await write_foreign(tmp_path / "go.mp4", seconds=1)
    (tmp_path / "elsewhere.mp4").write_bytes((tmp_path / "go.mp4").read_bytes())
    pulse = FaultyPulse()
    store = await stores.open(pulse, segment_seconds=1, size_gb=600_000 / 2**30)
    storage = stores.storage
    foreign: dict[Path, bytes] = {}
    strangers = itertools.count(1_725_000_000)
    unknown: dict[str, float] = {}

    def drop_foreign() -> None:
        number = next(strangers)
        for name in (f"{number}.txt", f"holiday{number}.mp4", f"{number}.mp4.bak", f"{number}.mp4/{number}.mp4"):
            path = storage / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"somebody's")
            foreign[path] = b"somebody's"

    def drop_link() -> None:
        """To a recording that lies elsewhere; it takes its name by a rename, which is told as an event."""
        path = storage / f"{next(strangers)}.mp4"
        (storage / "link").symlink_to(tmp_path / "elsewhere.mp4")
        (storage / "link").rename(path)
        foreign[path] = (tmp_path / "elsewhere.mp4").read_bytes()

    def drop_go_segment() -> None:
        shutil.copy(tmp_path / "go.mp4", storage / "go")
        (storage / "go").rename(storage / f"{time.time_ns() // 10**9 - dice.randrange(100, 10**6)}.mp4")

    async def look() -> None:
        try:
            indexed = set(await store._archive.index.sizes())
        except sqlite3.Error:  # its file was taken away just now: it can be asked again
            indexed = set(await store._archive.index.sizes())
        run = store._run
        opened = {path.name for path in run.open_paths()} if run else set()
        names = {path.name for path in files_in(storage, "*") if path not in foreign}
        for name in names - indexed - opened:
            if name_time_us(name) is not None or parse_open_name(name):
                waiting_s = time.monotonic() - unknown.setdefault(name, time.monotonic())
                assert waiting_s < _SOON_S, f"{name} is neither open nor in the index for {waiting_s:.1f} s"
            else:
                assert name.startswith(FILE_NAME) or name in ("go", "link"), f"what is {name}?"
        for name in set(unknown) - (names - indexed - opened):
            del unknown[name]
        for path, content in foreign.items():
            assert path.read_bytes() == content

    deeds: list[Callable[[], object]] = [
        drop_foreign,
        drop_link,
        drop_go_segment,
        kill_recording,
        lambda: pulse.asides.append(Gap("the test wants it so")),
        lambda: rename_one(storage, dice),
        lambda: lose_index(storage, dice),
        lambda: closed(storage)[-1].unlink(missing_ok=True) if closed(storage) else None,
    ]
    dice.shuffle(deeds)
    for deed in deeds:
        deed()
        ends = time.monotonic() + 0.8
        while time.monotonic() < ends:
            await look()
            await asyncio.sleep(0.02)
        await fetch_something(store, dice)
    pulse.stopped = True
    while unknown:
        await look()
        await asyncio.sleep(0.02)
    await store.close()
    assert not list(storage.glob("*.open")) and not list(storage.glob(f"{WORK_DIRECTORY}/*"))
    store = await stores.open()
    await until(lambda: store._archive.reconciled.is_set())
    assert sorted(await store._archive.index.sizes()) == sorted(
        path.name for path in files_in(storage, "[0-9]*.mp4") if path not in foreign
    )
    for path, content in foreign.items():
        assert path.read_bytes() == content


async def test_invariant_1_the_quota_deletes_nothing_but_recordings(stores: Stores, tmp_path: Path) -> None:
    """Whatever bears a name like theirs, and however little is allowed."""
    await write_foreign(tmp_path / "elsewhere.mp4", seconds=1)
    pulse = FaultyPulse()
    store = await stores.open(pulse, segment_seconds=1, size_gb=1 / 2**30)
    storage = stores.storage
    links = [storage / name for name in ("1725000001.mp4", "2024-08-30_06-40-02Z.mp4", "1725000003000000-000000.open")]
    for path in links:
        (storage / "link").symlink_to(tmp_path / "elsewhere.mp4")
        (storage / "link").rename(path)  # told as an event, unlike a new link
    (storage / "1725000004.mp4").write_bytes(b"a note")
    (storage / "1725000005.mp4").mkdir()
    count = len(pulse.delivered)
    await until(lambda: len(pulse.delivered) > count + 30)
    await store.close()
    store = await stores.open(size_gb=1 / 2**30)
    await until(lambda: store._archive.reconciled.is_set() and store.health().segments == 0)
    assert [path.name for path in links if not path.is_symlink()] == []
    assert (storage / "1725000004.mp4").read_bytes() == b"a note" and (storage / "1725000005.mp4").is_dir()


# 2


@dataclass
class Seals:
    """What every closed segment was like when it was first seen."""

    storage: Path
    seen: dict[tuple[str, int], tuple[int, int, str]] = field(default_factory=dict)
    """Size, time of modification and digest, by name and inode."""

    def look(self) -> None:
        for path, status in files_in(self.storage, "*.mp4").items():
            key = path.name, status.st_ino
            if key not in self.seen:
                with contextlib.suppress(FileNotFoundError):
                    content = path.read_bytes()
                    if path.stat().st_ino == status.st_ino:
                        self.seen[key] = status.st_size, status.st_mtime_ns, hashlib.sha256(content).hexdigest()
            else:
                assert (status.st_size, status.st_mtime_ns) == self.seen[key][:2], f"{path.name} has changed"

    def compare(self) -> int:
        """Compare what is left, byte by byte; how many files that are."""
        left = files_in(self.storage, "*.mp4")
        for path, status in left.items():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert self.seen[path.name, status.st_ino] == (status.st_size, status.st_mtime_ns, digest), path.name
        return len(left)


async def test_invariant_2_a_closed_segment_never_changes_whatever_happens(stores: Stores, tmp_path: Path) -> None:
    """Also where its ffmpeg was killed, the store is begun anew over what lay open, and names are taken already."""
    dice = random.Random(2)
    seals = Seals(stores.storage)
    stores.storage.mkdir()
    go = tmp_path / "go.mp4"
    await write_foreign(go, seconds=1)
    async with watching(seals.look):
        for round_ in range(5):
            for ahead_s in range(1, 4):  # names that the next segments would have
                with contextlib.suppress(FileExistsError):
                    shutil.copy(go, tmp_path / "next")
                    os.link(tmp_path / "next", stores.storage / f"{time.time_ns() // 10**9 + ahead_s}.mp4")
                    (tmp_path / "next").unlink()
            await record(stores.storage, capture_times(2.5, START_US + round_ * US, seed=round_), size=SMALL)
            left = max(stores.storage.glob("*-000001.open"), key=lambda path: path.stat().st_mtime_ns)
            os.truncate(left, left.stat().st_size * 2 // 3)
            pulse = FaultyPulse(0.05)
            store = await stores.open(pulse, segment_seconds=1)
            deeds: list[Callable[[], object]] = [
                kill_recording,
                functools.partial(pulse.asides.append, Gap("the test wants it so")),
                lambda: rename_one(stores.storage, dice),
                lambda: lose_index(stores.storage, dice),
            ]
            for deed in dice.sample(deeds, 2):
                count = len(pulse.delivered)
                await until(lambda pulse=pulse, count=count: len(pulse.delivered) > count + 12)  # type: ignore[misc]
                deed()
                await fetch_something(store, dice)
            await stores.close()
    assert seals.compare() > 10
    ours = [path for path in closed(stores.storage) if path.read_bytes() != go.read_bytes()]
    for path in ours:
        assert read_fragments(path).times_us == [frame.captured_us for _, frame in read_clip(path) if frame]


async def test_invariant_2_a_clock_that_is_set_back_writes_over_nothing(begin: Begin) -> None:  # noqa: F811
    life = await begin()
    seals = Seals(life.stores.storage)
    async with watching(seals.look):
        for _ in range(4):  # each time over the same seconds
            await life.record(4)
            life.step(-4.1)
        await life.pause()
        await life.stores.close()
    assert seals.compare() == len(closed(life.stores.storage)) >= 8
    stored = [t for path in closed(life.stores.storage) for t in read_fragments(path).times_us]
    assert sorted(stored) == sorted(t for run in life.runs for t in run)


# 3


async def test_invariant_3_what_appears_in_the_upload_path_is_complete_at_first_sight(
    stores: Stores, recording: Path, times: list[int], tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the ffmpeg that cuts it is killed, and the store is closed in the middle of it."""
    monkeypatch.setattr("videostore.clips.save_queue.SAVE_RETRIES_S", (0.05,) * 50)
    slow = tmp_path / "ffmpeg"
    slow.write_text(f'#!/bin/sh\nexec "{binary}" -readrate 15 "$@"\n')
    slow.chmod(0o755)
    dice = random.Random(3)
    seen: dict[Path, bytes] = {}
    half_written: set[Path] = set()
    shown: dict[Path, list[int]] = {}

    def look() -> None:
        for path in files_in(stores.upload, "**/*"):
            if path.name.endswith(PROGRESS_SUFFIX):
                half_written.add(path)
            elif path not in seen:
                seen[path] = path.read_bytes()
                shown[path] = [frame.captured_us if frame else 0 for _, frame in read_clip(seen[path])]

    expected: dict[Path, list[int]] = {}

    async def save(store: VideoStore, *, wait: bool) -> None:
        first = dice.randrange(0, len(times) - 20)
        last = dice.randrange(first + 15, len(times))
        with contextlib.suppress(VideoStoreError):
            tags = dice.sample(["a", "b", "c"], dice.randrange(3))
            clip = await store.save(times[first], times[last], metadata="x", tags=tags, wait=wait)
            expected[clip.path] = times[first:last]

    killed = 0
    async with watching(look):
        store = await stores.over(recording, binary=str(slow))
        for round_ in range(3):
            saves = [asyncio.create_task(save(store, wait=n % 2 == 0)) for n in range(6)]
            for _ in range(2):
                await until(lambda: ffmpegs(PROGRESS_SUFFIX))
                if files_in(stores.upload, "**/*.prog"):
                    for process in ffmpegs(PROGRESS_SUFFIX):
                        process.kill()
                        killed += 1
                await asyncio.sleep(dice.uniform(0, 0.4))
            await stores.close()  # in the middle of what is under way
            await asyncio.gather(*saves)
            store = await stores.open(binary=str(slow if round_ < 2 else binary))
        await until(lambda: store.health().pending_saves == 0)
    assert killed and len(half_written) > len(expected) > 5
    assert store.health().failed_saves == []
    assert shown == expected
    assert {path: path.read_bytes() for path in files_in(stores.upload, "**/*")} == seen


async def test_invariant_3_a_promised_clip_appears_within_seconds_however_short_the_segments_are(
    stores: Stores,
) -> None:
    """Of a segment as short as its fragments nothing can be read before it is closed."""
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: len(pulse.delivered) > 20)
    for _ in range(2):
        to_us = pulse.delivered[-1]
        clip = await store.save(to_us - US, to_us, wait=False)
        await until(clip.path.exists, 8)
        shown = [frame.captured_us for _, frame in read_clip(clip.path) if frame]
        assert shown == [t for t in pulse.delivered if to_us - US <= t < to_us]


# 4


def stored_frames(storage: Path) -> list[int]:
    """Capture times that the pictures of all files tell, whatever index and boxes say."""
    frames = []
    for path in [*storage.glob("*.mp4"), *storage.glob("*.open")]:
        frames += [frame.captured_us for _, frame in read_clip(path) if frame]
    return sorted(frames)


def whole_frames(storage: Path) -> set[int]:
    """Capture times of what is in whole fragments by now, open or closed."""
    frames: set[int] = set()
    for path in [*storage.glob("*.open"), *storage.glob("*.mp4")]:
        with contextlib.suppress(FileNotFoundError, NotOursError):
            frames.update(read_fragments(path).times_us)
    return frames


async def check_clip_of(life: Life, store: VideoStore, stored: list[int], range_us: tuple[int, int], kind: str) -> None:
    from_us, to_us = range_us
    expected = [t for t in stored if from_us <= t < to_us]
    try:
        clip = await store.fetch(from_us, to_us, container=kind)
    except NothingStoredError:
        assert expected == []
        return
    shown = [frame.captured_us if frame else 0 for _, frame in read_clip(clip.data, [SMALL])]
    assert sorted(shown) == expected, (
        f"{kind} [{from_us - START_US}, {to_us - START_US}): {[t - START_US for t in expected if t not in shown]} are "
        f"missing, {[t - START_US for t in shown if t not in expected]} do not belong there"
    )


@pytest.mark.parametrize("seed", [4, 5])
async def test_invariant_4_a_clip_shows_every_stored_frame_of_its_range_and_no_other(
    begin: Begin,  # noqa: F811
    seed: int,
) -> None:
    """Over gaps, steps of the clock in both directions, killed ffmpegs, deleted segments and a lost index."""
    dice = random.Random(seed)
    life = await begin()
    storage = life.stores.storage
    for deed in dice.sample(["gap", "kill", "delete", "index", "back", "back a little", "ahead", "nothing"], 8):
        times = await life.record(dice.uniform(1.5, 4))
        from_us, to_us = times[dice.randrange(5)], life.clock.wall
        sure = {t for t in whole_frames(storage) if from_us <= t < to_us}
        if sure:
            clip = await life.store.fetch(from_us, to_us)
            live = [frame.captured_us if frame else 0 for _, frame in read_clip(clip.data)]
            assert len(live) == len(set(live)) and sure <= set(live) and all(from_us <= t < to_us for t in live), deed
        if deed == "kill":
            kill_recording()
            await until(lambda: life.store._run is None)
            life.clock.advance(40)  # over the pause before the next attempt
        elif deed == "delete" and closed(storage):
            dice.choice(closed(storage)).unlink()
        elif deed == "index":
            lose_index(storage, dice)
        else:
            life.step({"back": -dice.uniform(1, 5), "back a little": -0.15, "ahead": 7}.get(deed, 0))
        if deed == "gap":
            await life.pause_unsealed()
            life.clock.advance(dice.uniform(1, 20))
    await life.pause_unsealed()
    life.clock.advance(3600)
    await life.stores.close()
    store = await life.stores.open(clock=life.clock)
    await until(lambda: store._archive.reconciled.is_set())
    stored = stored_frames(storage)
    assert len(stored) > 100
    edges = [*(t + d for t in stored for d in (0, 0, 1, -1)), stored[0] - US, stored[-1] + US]
    for number in range(24):
        from_us = dice.choice(edges)
        to_us = from_us + 1 + round(dice.choice([0, 0.3, 1.2, 5, 30]) * US * dice.random())
        await check_clip_of(life, store, stored, (from_us, to_us), "fmp4" if number % 3 == 0 else "mp4")
    await check_clip_of(life, store, stored, (stored[0], stored[-1] + 1), "mp4")


# 5


@dataclass
class Scales:
    """The most that was stored at any moment, and the largest segment."""

    storage: Path
    most_bytes: int = 0
    largest_bytes: int = 0
    least_free_bytes: int = 1 << 60
    index_bytes: int = 0

    def look(self) -> None:
        # A file that is being closed has two names for a moment.
        sizes = {status.st_ino: status.st_size for status in files_in(self.storage, "*.mp4", "*.open").values()}
        self.most_bytes = max(self.most_bytes, sum(sizes.values()))
        self.largest_bytes = max(self.largest_bytes, *sizes.values(), 0)
        self.least_free_bytes = min(self.least_free_bytes, shutil.disk_usage(self.storage).free)
        self.index_bytes = sum(status.st_size for status in files_in(self.storage, FILE_NAME + "*").values())


async def test_invariant_5_stored_bytes_exceed_the_quota_by_one_segment_at_most(stores: Stores) -> None:
    quota_bytes = 500_000
    dice = random.Random(5)
    pulse = FaultyPulse(0.04, (320, 180))
    stores.storage.mkdir()
    scales = Scales(stores.storage)
    async with watching(scales.look):
        for _ in range(2):
            store = await stores.open(pulse, segment_seconds=2, size_gb=quota_bytes / 2**30)
            ends = time.monotonic() + 4.5
            while time.monotonic() < ends:
                await fetch_something(store, dice)
                await asyncio.sleep(dice.uniform(0.1, 0.5))
            kill_recording()
            await until(lambda store=store: store._run is None)  # type: ignore[misc]
            await stores.close()
    assert quota_bytes < scales.most_bytes + scales.largest_bytes, "there was no pressure at all"
    assert scales.most_bytes <= quota_bytes + scales.largest_bytes
    store = await stores.open(size_gb=quota_bytes / 2**30)
    await until(lambda: store.health().stored_bytes <= quota_bytes)
    assert store.health().segments > 0


async def test_invariant_5_the_device_keeps_its_room_whatever_is_recorded_and_saved(small_disk: Path) -> None:
    """The quota is far larger than the device. First it is recorded to alone, then clips are saved to it as well."""
    floor_bytes = 2 * MIB
    stores = Stores(small_disk)
    pulse = Pulse(0.05, (640, 360))
    try:
        store = await stores.open(pulse, size_gb=100, segment_seconds=1, min_free_gb=floor_bytes / 2**30)
        await until(lambda: store.health().segments >= 3)
        room_bytes = shutil.disk_usage(small_disk).free - floor_bytes
        (small_disk / "somebody's").write_bytes(bytes(room_bytes - 300_000))
        scales = Scales(stores.storage)
        async with watching(scales.look):
            first = closed(stores.storage)[0]
            await until(lambda: not first.exists() and store.health().segments > 3)
            await asyncio.sleep(3)
        assert scales.least_free_bytes > floor_bytes - scales.largest_bytes - scales.index_bytes
        refused = 0
        async with watching(scales.look):
            for _ in range(12):
                to_us = pulse.delivered[-1]
                try:
                    await store.save(to_us - 3 * US, to_us)
                except NoRoomError:
                    refused += 1
                except NothingStoredError:
                    pass
                await asyncio.sleep(0.2)
                uploaded = sorted(stores.upload.glob("*.mp4"), key=lambda path: path.stat().st_mtime_ns)[:-4]
                for path in uploaded:
                    path.unlink()
        assert scales.least_free_bytes > 0
        recorder = store.health().recorder
        assert recorder is not None and (recorder.ffmpeg_restarts, recorder.dropped_frames) == (0, 0)
        assert recorder.recording and refused < 12
    finally:
        await stores.close()


# 6


async def resumes(store: VideoStore, pulse: Pulse) -> None:
    """Wait for a second of new recording that can be fetched whole."""
    deadline = time.monotonic() + 35
    count = len(pulse.delivered)
    while True:
        assert time.monotonic() < deadline, store.health()
        await asyncio.sleep(0.05)
        fresh = pulse.delivered[count:]
        ends = [n for n, t in enumerate(fresh) if t >= fresh[0] + US]
        if not ends:
            continue
        with contextlib.suppress(VideoStoreError):
            clip = await store.fetch(fresh[0], fresh[ends[0]])
            if [frame.captured_us for _, frame in read_clip(clip.data) if frame] == fresh[: ends[0]]:
                return
        if fresh[-1] > fresh[0] + 3 * US:
            count += len(fresh) // 2  # it was not recording yet by then


@pytest.mark.parametrize("seed", range(3))
async def test_invariant_6_after_faults_in_any_order_the_recording_says_so_and_resumes_by_itself(
    small_disk: Path, seed: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.storage.maintenance.INDEX_RETRY_S", 1.0)  # so that it takes no ten seconds
    caplog.set_level(logging.WARNING)
    stores = Stores(small_disk)
    pulse = FaultyPulse()

    async def camera_fails() -> None:
        pulse.asides.append(RuntimeError("the camera is on fire"))
        await until(lambda: "on fire" in caplog.text)

    async def ffmpeg_is_killed() -> None:
        restarts = store.health().recorder.ffmpeg_restarts  # type: ignore[union-attr]
        kill_recording()
        await until(lambda: store.health().recorder.ffmpeg_restarts > restarts)  # type: ignore[union-attr]

    async def disk_fills_up() -> None:
        restarts = store.health().recorder.ffmpeg_restarts  # type: ignore[union-attr]
        with (small_disk / "filler").open("wb", buffering=0) as file:
            deadline = time.monotonic() + 15
            while store.health().recorder.ffmpeg_restarts == restarts:  # type: ignore[union-attr]
                assert time.monotonic() < deadline
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(64 * 1024))
                await asyncio.sleep(0.05)
        (small_disk / "filler").unlink()

    async def directory_is_removed() -> None:
        shutil.rmtree(stores.storage)
        await until(lambda: "was removed or replaced" in caplog.text)

    async def index_is_deleted() -> None:
        for path in stores.storage.glob(FILE_NAME + "*"):
            path.unlink(missing_ok=True)
        await until(lambda: (stores.storage / FILE_NAME).exists())

    async def index_is_garbled() -> None:
        (stores.storage / FILE_NAME).write_bytes(b"garbage" * 1000)
        for path in stores.storage.glob(FILE_NAME + "-*"):
            path.unlink(missing_ok=True)
        await until(lambda: (stores.storage / FILE_NAME).read_bytes()[:6] == b"SQLite")

    faults: list[Callable[[], Awaitable[None]]] = [
        camera_fails,
        ffmpeg_is_killed,
        disk_fills_up,
        directory_is_removed,
        index_is_deleted,
        index_is_garbled,
    ]
    random.Random(0).shuffle(faults)
    try:
        store = await stores.open(pulse, segment_seconds=1)
        await until(lambda: store.health().segments > 0)
        for fault in (faults[2 * seed], faults[2 * seed + 1]):
            caplog.clear()
            await fault()
            await resumes(store, pulse)
            assert any(entry.levelno >= logging.WARNING for entry in caplog.records), fault.__name__
        await until(lambda: store.health().index_trouble is None and store.health().storage_trouble is None)
    finally:
        await stores.close()


# 7


HOSTILE = [
    "../../outside/x",
    "/etc/passwd",
    "..",
    "tag=../../../outside",
    "a/../../b",
    "%2e%2e%2f",
    "x\0y",
    "file:///tmp/x",
    "\\..\\..\\outside",
    "~/x",
    "-y /tmp/x",
    "'; file '/etc/passwd",
    "concat:/etc/passwd",
    "%d/%s",
]


WATCH = """
import os, sys
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

class Handler(FileSystemEventHandler):
    def on_any_event(self, event):
        if event.event_type in ("created", "modified", "moved", "deleted", "closed"):
            for path in (event.src_path, event.dest_path):
                if path:
                    print(ascii(os.fsdecode(path)), flush=True)

observer = Observer()
observer.schedule(Handler(), sys.argv[1], recursive=True)
observer.start()
print("ready", flush=True)
sys.stdin.read()
observer.stop()
"""
"""Prints every path below a directory at which something is changed. A process of its own: in one process all
observers share their watches, and the store has one."""


@contextlib.asynccontextmanager
async def changes_below(directory: Path, marker: Path) -> AsyncIterator[set[Path]]:
    """Every path below a directory at which something was changed; complete once the context has ended."""
    pipe = asyncio.subprocess.PIPE
    watch = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", WATCH, directory, stdin=pipe, stdout=pipe
    )
    assert watch.stdin is not None and watch.stdout is not None
    paths: set[Path] = set()
    try:
        assert await watch.stdout.readline() == b"ready\n"
        yield paths
        marker.touch()
        while marker not in paths:
            line = await asyncio.wait_for(watch.stdout.readline(), 20)
            paths.add(Path(ast.literal_eval(line.decode())))
    finally:
        watch.stdin.close()
        watch.kill()
        await watch.wait()


def open_for_writing(process: psutil.Process) -> set[str]:
    """Paths of the files that a process can write to at this moment."""
    found = set()
    with contextlib.suppress(psutil.Error, FileNotFoundError, ProcessLookupError):
        for file in process.open_files():
            if getattr(file, "mode", "r") != "r":
                found.add(file.path)
    return found


async def test_invariant_7_no_request_reads_or_writes_outside_of_storage_and_upload(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = {name: tmp_path / name for name in ("outside", "home", "temp", "work")}
    for path in outside.values():
        path.mkdir()
    monkeypatch.setenv("HOME", str(outside["home"]))
    monkeypatch.setattr(tempfile, "tempdir", str(outside["temp"]))
    monkeypatch.chdir(outside["work"])
    await write_foreign(outside["outside"] / "secret.mp4", seconds=2)
    await record(outside["outside"], capture_times(2.5), size=SMALL)
    (unfinished,) = outside["outside"].glob("*-000000.open")
    os.truncate(unfinished, unfinished.stat().st_size - 10)  # who closes it would cut off what is left of a fragment
    secrets = {path: path.read_bytes() for path in outside["outside"].iterdir()}
    me = psutil.Process()
    before = open_for_writing(me)
    written: set[str] = set()
    marker = outside["work"] / "marker"

    def look() -> None:
        for process in [me, *me.children(recursive=True)]:
            written.update(open_for_writing(process))

    pulse = Pulse()
    async with changes_below(tmp_path, marker) as changed, watching(look, 0.1):  # each look asks for all processes
        store = await stores.open(pulse, segment_seconds=2)
        for name in ("1725000000.mp4", unfinished.name):
            (stores.storage / "link").symlink_to(outside["outside"] / name.replace("1725000000.mp4", "secret.mp4"))
            (stores.storage / "link").rename(stores.storage / name)
        await until(lambda: store.health().segments >= 2)
        stamp = {"from": "2020-01-01_00-00-00Z", "to": "2099-01-01_00-00-00Z"}
        now = time.strftime("%Y-%m-%d_%H-%M-%SZ", time.gmtime())
        good = {"from": "2020-01-01_00-00-00Z", "to": now}
        saved = 0
        for text in HOSTILE:
            for request in (
                {"command": "save", **good, "metadata": text},
                {"command": "save", **good, "tags": [text]},
                {"command": "save", **good, "metadata": text, "tags": ["a", text], "async": True},
                {"command": "fetch", **good, "container": text},
                {"command": "fetch", **stamp, "from": text},
                {"command": "get-save-status", "filename": text},
                {"command": text},
            ):
                with contextlib.suppress(VideoStoreError):
                    answer = await execute(store, request)
                    assert Path(answer["filename"]).name == answer["filename"]
                    saved += 1
        # What lies elsewhere is not read through a link in the storage path.
        with pytest.raises(NothingStoredError):
            await store.fetch(1_725_000_000 * US, 1_725_000_002 * US)
        await until(lambda: store.health().pending_saves == 0)
        await stores.close()
    assert saved > len(HOSTILE)
    allowed = (stores.storage, stores.upload)

    def elsewhere(path: Path) -> bool:
        return path != tmp_path and not any(path.is_relative_to(one) for one in allowed)

    assert {path for path in changed if elsewhere(path)} <= {marker, outside["work"]}
    assert {path for path in written - before if elsewhere(Path(path))} == set()
    assert {path for path in tmp_path.rglob("*") if elsewhere(path)} == {*outside.values(), *secrets, marker}
    assert {path: path.read_bytes() for path in secrets} == secrets
    for path in stores.upload.rglob("*"):
        assert path.resolve().is_relative_to(stores.upload.resolve())
