"""Index faults while a camera is recorded: no frame is lost, and the index recovers by itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import some
from tests.support.go_index import GO_INSERT, GO_TABLE
from tests.support.indexed import (
    another_segment,
    check_after_restart,
    check_all_recorded,
    delete,
    rows,
    true_starts,
    wait_until_recovered,
)
from tests.support.recording import Pulse, Stores, until
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore
from videostore.viam.commands import describe_health

pytestmark = pytest.mark.usefixtures("short_intervals")
_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("locked", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def locked(path: Path, *statements: str) -> AsyncIterator[None]:
    """Another process locks the index inside this context. Until it can, what is written here goes on."""
    command = [sys.executable, "-c", _LOCK, str(path), *statements]
    pipes = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipes, stdout=pipes)
    assert process.stdin is not None and process.stdout is not None
    try:
        assert await process.stdout.readline() == b"locked\n"
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def change_attributes(path: Path, change: str) -> bool:
    """Run `chattr`. Returns whether it succeeded."""
    try:
        process = await asyncio.create_subprocess_exec("chattr", change, path, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        return False
    return await process.wait() == 0


def overwrite_all(path: Path) -> None:
    path.write_bytes(b"garbage " * 4096)


def overwrite_the_middle(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 8192))


def overwrite_the_log(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    if log.exists():
        log.write_bytes(b"garbage " * 4096)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_a_directory(path: Path) -> None:
    delete(path)
    path.mkdir()


def put_an_older_one_back(path: Path) -> None:
    """As from a backup: it lists a deleted segment and none of the existing ones."""
    older = path.with_name("older")
    connection = sqlite3.connect(older)
    connection.execute(GO_TABLE)
    connection.execute(GO_INSERT, ("1725000600.mp4", 1_725_000_600, 30_000, 5000, None))
    connection.commit()
    connection.close()
    older.replace(path)


# While recording


@some(
    "fault",
    [
        overwrite_the_middle,
        overwrite_the_log,
        replace_by_a_directory,
        delete,
        overwrite_all,
        put_an_older_one_back,
    ],
    3,
)
async def test_an_index_that_is_damaged_while_recording_costs_no_frame(
    stores: Stores, fault: Callable[[Path], None]
) -> None:
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await another_segment(stores.storage)
    path = stores.storage / FILE_NAME
    fault(path)
    await another_segment(stores.storage)
    await check_all_recorded(store, pulse)
    if path.is_dir():
        assert store.health().index_trouble
        path.rmdir()
    if fault is not overwrite_the_log:  # SQLite notices this when it reads there, at the latest at the next start
        await wait_until_recovered(stores, store)
    await check_after_restart(stores, pulse)


async def test_an_index_that_another_process_locks_for_seconds_costs_no_frame(stores: Stores) -> None:
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await another_segment(stores.storage)
    async with locked(stores.storage / FILE_NAME, "BEGIN EXCLUSIVE"):
        await until(lambda: store.health().index_trouble)
        assert "locked" in describe_health(store.health())["index_trouble"]
        await another_segment(stores.storage)
        await check_all_recorded(store, pulse)
    await wait_until_recovered(stores, store)
    assert "index_trouble" not in describe_health(store.health())
    await check_after_restart(stores, pulse)


# At the start


@pytest.fixture
async def known(stores: Stores, recording: Path) -> list[tuple[str, int]]:
    """A copy of the recording as the storage directory. Returns the rows of its index."""
    shutil.copytree(recording, stores.storage)
    assert rows(stores.storage) == true_starts(stores.storage)
    return rows(stores.storage)


@some("fault", [delete, overwrite_the_middle, put_an_older_one_back, overwrite_all, empty], 3)
async def test_an_index_that_was_damaged_at_rest_is_rebuilt_with_the_same_starts(
    stores: Stores, known: list[tuple[str, int]], times: list[int], fault: Callable[[Path], None]
) -> None:
    fault(stores.storage / FILE_NAME)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 4)
    clip = await store.fetch(times[0], times[-1] + 1)
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless and clip.ranges is None
    await another_segment(stores.storage)
    await check_all_recorded(store, pulse)
    await wait_until_recovered(stores, store)
    assert [row for row in rows(stores.storage) if row in known] == known
    assert [one.start_us for one in await store._archive.index.oldest(4)] == [start_us for _, start_us in known]
    await check_after_restart(stores, pulse)


async def test_a_foreign_database_with_the_name_of_the_index_is_moved_aside(
    stores: Stores, known: list[tuple[str, int]]
) -> None:
    path = stores.storage / FILE_NAME
    delete(path)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE files (path TEXT)")
    connection.close()
    store = await stores.open()
    await until(lambda: store.health().segments == 4)
    await until(lambda: store.health().index_trouble is None)
    assert rows(stores.storage) == known and list(stores.storage.glob(FILE_NAME + ".damaged-*"))


async def test_a_store_starts_and_serves_while_another_process_locks_the_index(
    stores: Stores, known: list[tuple[str, int]], times: list[int]
) -> None:
    pulse = Pulse()
    path = stores.storage / FILE_NAME
    async with locked(path, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"):
        store = await stores.open(pulse, segment_seconds=1)
        await until(lambda: store.health().segments >= 4)
        clip = await store.fetch(times[0], times[-1] + 1)
        assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless and clip.ranges is None
        assert "locked" in (store.health().index_trouble or "")
        await another_segment(stores.storage)
        await check_all_recorded(store, pulse)
    await wait_until_recovered(stores, store)
    await check_after_restart(stores, pulse)


async def test_a_read_only_index_is_read_and_recording_goes_on_in_memory(
    stores: Stores, known: list[tuple[str, int]], times: list[int]
) -> None:
    path = stores.storage / FILE_NAME
    if not await change_attributes(path, "+i"):
        pytest.skip("only root can make files immutable, and not on every file system")
    pulse = Pulse()
    try:
        store = await stores.open(pulse, segment_seconds=1)
        await another_segment(stores.storage)
        await check_all_recorded(store, pulse)
        clip = await store.fetch(times[0], times[-1] + 1)
        assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless and clip.ranges is None
        assert store.health().index_trouble
    finally:
        assert await change_attributes(path, "-i")
    await wait_until_recovered(stores, store)
    await check_after_restart(stores, pulse)


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_pipe_in_the_place_of_the_index_stops_neither_readers_nor_a_recorder(
    stores: Stores, recording: Path, suffix: str
) -> None:
    """To open one waits until another program writes to it: never."""
    store = await stores.over(recording)
    segments = store.health().segments
    await store.close()
    path = stores.storage / f"{FILE_NAME}{suffix}"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    async with VideoStore.open(stores.storage) as reader:
        assert (await reader.state()).ranges
    opening = asyncio.ensure_future(stores.open())
    await until(opening.done)
    store = await opening
    await until(lambda: store.health().segments == segments)
