"""Invariant 1: a file in the storage path is indexed, being written, or about to be indexed; foreign files stay."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.disturbances import FaultyPulse, fetch_something, kill_recording, lose_index, rename_one
from tests.support.recording import Stores, until, write_foreign
from tests.support.watching import closed_segments, files_in
from videostore.clips.workspace import WORK_DIRECTORY
from videostore.media.packet import Gap
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.index import FILE_NAME

_HANG_S = 60.0
"""A closed file that is not in the index by then will never be there, however busy the machine is."""


async def test_every_file_is_open_or_soon_indexed_and_no_foreign_file_is_deleted(
    stores: Stores, tmp_path: Path
) -> None:
    dice = random.Random(1)
    await write_foreign(tmp_path / "go.mp4", seconds=1)
    (tmp_path / "elsewhere.mp4").write_bytes((tmp_path / "go.mp4").read_bytes())
    pulse = FaultyPulse()
    store = await stores.open(pulse, segment_seconds=1, size_gb=600_000 / 2**30)
    storage = stores.storage
    foreign: dict[Path, bytes] = {}
    numbers = itertools.count(1_725_000_000)
    unknown: dict[str, float] = {}

    def drop_foreign() -> None:
        number = next(numbers)
        for name in (f"{number}.txt", f"holiday{number}.mp4", f"{number}.mp4.bak", f"{number}.mp4/{number}.mp4"):
            path = storage / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"foreign")
            foreign[path] = b"foreign"

    def drop_link() -> None:
        """A link to a recording elsewhere. It gets its name by a rename, which is reported as an event."""
        path = storage / f"{next(numbers)}.mp4"
        (storage / "link").symlink_to(tmp_path / "elsewhere.mp4")
        (storage / "link").rename(path)
        foreign[path] = (tmp_path / "elsewhere.mp4").read_bytes()

    def drop_go_segment() -> None:
        shutil.copy(tmp_path / "go.mp4", storage / "go")
        (storage / "go").rename(storage / f"{time.time_ns() // 10**9 - dice.randrange(100, 10**6)}.mp4")

    async def look() -> None:
        try:
            indexed = set(await store._archive.index.sizes())
        except sqlite3.Error:  # its file was deleted just now: ask again
            indexed = set(await store._archive.index.sizes())
        run = store._run
        opened = {path.name for path in run.open_paths()} if run else set()
        names = {path.name for path in files_in(storage, "*") if path not in foreign}
        for name in names - indexed - opened:
            if name_time_us(name) is not None or parse_open_name(name):
                waiting_s = time.monotonic() - unknown.setdefault(name, time.monotonic())
                assert waiting_s < _HANG_S, f"{name} is neither open nor in the index for {waiting_s:.1f} s"
            else:
                assert name.startswith(FILE_NAME) or name in ("go", "link"), f"what is {name}?"
        for name in set(unknown) - (names - indexed - opened):
            del unknown[name]
        for path, content in foreign.items():
            assert path.read_bytes() == content

    disturbances: list[Callable[[], object]] = [
        drop_foreign,
        drop_link,
        drop_go_segment,
        kill_recording,
        lambda: pulse.faults.append(Gap("the test pauses it")),
        lambda: rename_one(storage, dice),
        lambda: lose_index(storage, dice),
        lambda: closed_segments(storage)[-1].unlink(missing_ok=True) if closed_segments(storage) else None,
    ]
    dice.shuffle(disturbances)
    for disturb in disturbances:
        disturb()
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


async def test_the_quota_deletes_only_recordings(stores: Stores, tmp_path: Path) -> None:
    """Also where foreign files have names of segments, and the quota is a single byte."""
    await write_foreign(tmp_path / "elsewhere.mp4", seconds=1)
    pulse = FaultyPulse()
    store = await stores.open(pulse, segment_seconds=1, size_gb=1 / 2**30)
    storage = stores.storage
    links = [storage / name for name in ("1725000001.mp4", "2024-08-30_06-40-02Z.mp4", "1725000003000000-000000.open")]
    for path in links:
        (storage / "link").symlink_to(tmp_path / "elsewhere.mp4")
        (storage / "link").rename(path)  # reported as an event, unlike a new link
    (storage / "1725000004.mp4").write_bytes(b"a note")
    (storage / "1725000005.mp4").mkdir()
    count = len(pulse.delivered)
    await until(lambda: len(pulse.delivered) > count + 30)
    await store.close()
    store = await stores.open(size_gb=1 / 2**30)
    await until(lambda: store._archive.reconciled.is_set() and store.health().segments == 0)
    assert [path.name for path in links if not path.is_symlink()] == []
    assert (storage / "1725000004.mp4").read_bytes() == b"a note" and (storage / "1725000005.mp4").is_dir()
