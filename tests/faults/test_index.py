"""Index faults while a camera is recorded: no frame is lost, and the index recovers by itself."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scripts.bench.segments import make_directory
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import at_most, cut_short, some
from tests.support.go_index import GO_INSERT, GO_TABLE, go_index
from tests.support.recording import (
    LOGGER,
    START_US,
    US,
    Pulse,
    Stores,
    capture_times,
    record,
    take_over,
    until,
    write_foreign,
)
from videostore.base.clock import SystemClock
from videostore.media.fmp4 import read_fragments
from videostore.storage.archive import Archive
from videostore.storage.index import FILE_NAME
from videostore.storage.reconciler import Reconciler
from videostore.store.store import VideoStore
from videostore.viam.commands import describe_health

GO_US = 1_725_600_000 * US
_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and maintenance come twice a second."""
    monkeypatch.setattr("videostore.storage.maintenance.INDEX_RETRY_S", 0.5)
    monkeypatch.setattr("videostore.storage.maintenance._TICK_S", 0.5)
    monkeypatch.setattr("videostore.storage.database_connection.INDEX_BUSY_S", 0.5)


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


def index_files(directory: Path) -> list[Path]:
    return sorted(directory.glob(FILE_NAME + "*"))


def delete(path: Path) -> None:
    for one in index_files(path.parent):
        one.unlink()


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


def rows(directory: Path) -> list[tuple[str, int]]:
    """Name and start of every segment, as another program reads them from the index."""
    connection = sqlite3.connect(f"file:{directory / FILE_NAME}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT file_name, start_us FROM files WHERE deleted_at IS NULL ORDER BY start_us")
        return list(found)
    finally:
        connection.close()


def true_starts(directory: Path) -> list[tuple[str, int]]:
    """Name and start of every segment, as the files say."""
    return [(path.name, read_fragments(path).start_us) for path in sorted(directory.glob("*.mp4"))]


async def another_segment(directory: Path) -> None:
    """Wait until one more segment is closed, according to the directory."""
    count = len(list(directory.glob("*.mp4")))
    await until(lambda: len(list(directory.glob("*.mp4"))) > count)


async def check_all_recorded(store: VideoStore, pulse: Pulse) -> None:
    """Check that every frame so far can be fetched, and that ffmpeg was never restarted."""
    from_us, to_us = pulse.delivered[0], pulse.delivered[-1]
    while (await store.state()).ranges[-1].to_us < to_us:  # noqa: ASYNC110 (files tell it)
        await asyncio.sleep(0.05)
    clip = await store.fetch(from_us, to_us)
    check = check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us)
    assert check.flawless and check.drift_ms < 5 and clip.ranges is None, check
    recorder = store.health().recorder
    assert recorder is not None and recorder.recording
    assert (recorder.ffmpeg_restarts, recorder.dropped_frames) == (0, 0)


async def wait_until_recovered(stores: Stores, store: VideoStore) -> None:
    """Wait until the index is a file again and has every segment with its exact start."""

    def same() -> bool:
        if store.health().index_trouble or not (stores.storage / FILE_NAME).is_file():
            return False
        try:
            return rows(stores.storage) == true_starts(stores.storage)
        except sqlite3.Error:
            return False

    await until(same)


async def check_after_restart(stores: Stores, pulse: Pulse) -> None:
    """Close the store, and check that the next one finds everything."""
    await pulse.stop()
    await stores.close()
    store = await stores.open(clock=SystemClock())
    await until(store._archive.reconciled.is_set)
    await wait_until_recovered(stores, store)
    from_us, to_us = pulse.delivered[0], pulse.delivered[-1] + 1
    clip = await store.fetch(from_us, to_us)
    assert check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us).flawless and clip.ranges is None
    assert store.health().segments == len(true_starts(stores.storage))
    assert (await store.state()).used_bytes == sum(path.stat().st_size for path in stores.storage.glob("*.mp4"))
    await stores.close()
    connection = sqlite3.connect(stores.storage / FILE_NAME)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


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


# Thousands of rows or files


async def test_five_thousand_rows_without_files_are_removed(
    stores: Stores, known: list[tuple[str, int]], times: list[int]
) -> None:
    """Rows that are newer and older than the existing segments."""
    connection = sqlite3.connect(stores.storage / FILE_NAME)
    with connection:
        for number in range(5000):
            start_s = START_US // US + (number - 2500) * 30 + 7
            connection.execute(
                "INSERT INTO files (file_name, start_time_unix, duration_ms, size_bytes, width, height, codec,"
                " start_us, end_us) VALUES (?, ?, 30000, 1000, 320, 180, 'h264', ?, ?)",
                (f"{start_s}.mp4", start_s, start_s * US, (start_s + 30) * US),
            )
    connection.close()
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: store._archive.reconciled.is_set())
    await another_segment(stores.storage)
    stored = (await store.state()).ranges
    assert (stored[0].from_us, stored[0].to_us) == (times[0], (await store._archive.index.oldest(4))[-1].end_us)
    assert len(stored) == 2 and stored[1].from_us == pulse.delivered[0]
    await check_all_recorded(store, pulse)
    await wait_until_recovered(stores, store)
    assert (await store.state()).ranges[0] == stored[0]


async def test_rows_without_files_do_not_count_for_the_quota(stores: Stores, recording: Path) -> None:
    """The newest file was deleted while the module was not running, and the quota was lowered by its size."""
    shutil.copytree(recording, stores.storage)
    *left, newest = sorted(stores.storage.glob("*.mp4"))
    left_bytes = sum(path.stat().st_size for path in left)
    newest.unlink()
    store = await stores.open(size_gb=(left_bytes + 1) / 2**30)
    while not store._archive.reconciled.is_set():  # the quota can be enforced at any time meanwhile
        await store._maintainer._retention.enforce()
        await asyncio.sleep(0)
    assert sorted(stores.storage.glob("*.mp4")) == left
    assert store.health().segments == len(left)


async def test_three_thousand_files_without_rows_are_indexed_newest_first_while_recording(
    stores: Stores, binary: str, tmp_path: Path
) -> None:
    directory = await make_directory(stores.storage, 3000, 1_724_000_000 * US, binary, gaps=2, gap_s=60)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: store.health().unindexed_segments)
    left = [describe_health(store.health())["unindexed_segments"]]
    from_us, to_us = directory.end_us - 40 * US, directory.end_us
    await until(lambda: store.health().segments)
    clip = await store.fetch(from_us, to_us)
    unindexed = store.health().unindexed_segments
    assert clip.ranges is None and 0 < unindexed < 3000
    while not store._archive.reconciled.is_set():
        left.append(store.health().unindexed_segments)
        await asyncio.sleep(0.02)
    assert left == sorted(left, reverse=True) and left[0] > 2000
    assert "unindexed_segments" not in describe_health(store.health())
    await another_segment(stores.storage)
    stored = (await store.state()).ranges
    assert len(stored) == 4 and stored[0].from_us == directory.starts_us[0] and stored[2].to_us == directory.end_us
    segments = await store._archive.index.oldest(3000)
    assert [segment.start_us for segment in segments] == directory.starts_us
    await check_all_recorded(store, pulse)


@cut_short
async def test_a_lost_index_costs_no_recording_that_fits_the_quota(stores: Stores, binary: str) -> None:
    """While the index is rebuilt, the quota deletes the oldest segments, and only as many as it must."""
    kept = at_most(3000, 1000)
    directory = await make_directory(stores.storage, 2 * kept, 1_724_000_000 * US, binary, gaps=0, gap_s=0)
    size_bytes = directory.template.segment.size_bytes
    store = await stores.open(size_gb=kept * size_bytes / 2**30)
    await until(store._archive.reconciled.is_set)
    await until(lambda: store.health().segments <= kept)
    await store._maintainer._retention.enforce()
    assert store._archive.stored_bytes == kept * size_bytes
    assert len(list(stores.storage.glob("*.mp4"))) == store.health().segments == kept


async def test_segments_that_the_quota_deletes_during_a_rebuild_are_not_counted(tmp_path: Path, binary: str) -> None:
    directory = await make_directory(tmp_path / "storage", 4000, 1_724_000_000 * US, binary, gaps=0, gap_s=0)
    archive = await Archive.open(directory.path, LOGGER)
    try:
        rebuilding = asyncio.create_task(Reconciler(archive, LOGGER).reconcile(lambda _: False))
        while not rebuilding.done():
            await archive.delete_oldest(500, 1)
            await asyncio.sleep(0)
        await rebuilding
        paths = list(directory.path.glob("*.mp4"))
        assert len(paths) == archive.timeline.segments < 4000
        assert archive.stored_bytes == sum(path.stat().st_size for path in paths)
    finally:
        await archive.close()


# The Go module's index


async def test_segments_of_the_go_module_beside_ours_are_served_and_the_go_module_can_take_over_again(
    stores: Stores,
) -> None:
    directory = stores.storage
    plain = [f"{GO_US // US + 30 * number}.mp4" for number in range(3)]
    for name in plain:
        await write_foreign(directory / name)
    size = (directory / plain[0]).stat().st_size
    go_index(directory, *((name, int(name[:-4]), 3000, size) for name in plain[:2]))  # the third is not indexed yet
    times = capture_times(5)
    await record(directory, times)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: store._archive.reconciled.is_set() and store.health().segments >= 6)
    clip = await store.fetch(times[0], times[-1] + 1)
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless
    for name in plain:
        start_us = int(name[:-4]) * US
        assert len(read_clip((await store.fetch(start_us, start_us + 3 * US)).data)) == 30
    await check_all_recorded(store, pulse)
    await pulse.stop()
    await stores.close()

    # Back to the Go module: what it reads, and what it writes.
    go = sqlite3.connect(directory / FILE_NAME)
    query = "SELECT file_name, start_time_unix, duration_ms, size_bytes, width, height, codec, inserted_at FROM files"
    found = list(go.execute(query + " WHERE deleted_at IS NULL ORDER BY start_time_unix"))
    files = sorted(directory.glob("*.mp4"), key=lambda path: int(path.stem))
    assert [(row[0], row[3]) for row in found] == [(path.name, path.stat().st_size) for path in files]
    # The second of two that begin in the same second is named by the next one.
    ours = {path.name: read_fragments(path).start_us // US for path in files if path.name not in plain}
    assert [row[1] for row in found] == [ours.get(path.name, int(path.stem)) for path in files]
    assert all(row[2] > 0 and row[4] > 0 and row[5] > 0 and row[6] == "h264" and row[7] for row in found)
    await write_foreign(directory / f"{GO_US // US + 300}.mp4")
    with go:
        go.execute(GO_INSERT, (f"{GO_US // US + 300}.mp4", GO_US // US + 300, 3000, size, None))
    go.close()
    again = await stores.open(clock=SystemClock())
    await until(again._archive.reconciled.is_set)
    assert again.health().segments == len(files) + 1
    assert len(read_clip((await again.fetch(GO_US + 300 * US, GO_US + 303 * US)).data)) == 30


async def test_an_index_of_mixed_segments_is_rebuilt_with_exact_starts_for_ours_and_seconds_for_theirs(
    stores: Stores,
) -> None:
    times = capture_times(5)
    await record(stores.storage, times)
    await write_foreign(stores.storage / f"{GO_US // US}.mp4")
    before = await take_over(stores.storage)
    delete(stores.storage / FILE_NAME)
    store = await stores.open()
    await until(store._archive.reconciled.is_set)
    after = await store._archive.index.oldest(100)
    assert [one.start_us for one in after] == [one.start_us for one in before] and len(after) == 4
    assert [one.start_us for one in after if one.run_us is None] == [GO_US]
