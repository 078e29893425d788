"""Thousands of rows without files, or of files without rows."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from scripts.bench.segments import make_directory
from tests.support.amount import at_most, cut_short
from tests.support.indexed import another_segment, check_all_recorded, wait_until_recovered
from tests.support.recording import LOGGER, START_US, US, Pulse, Stores, until
from videostore.storage.archive import Archive
from videostore.storage.index import FILE_NAME
from videostore.storage.reconciler import Reconciler
from videostore.viam.commands import describe_health

pytestmark = pytest.mark.usefixtures("short_intervals")


async def test_five_thousand_rows_without_files_are_removed(stores: Stores, recording: Path, times: list[int]) -> None:
    """Rows that are newer and older than the existing segments."""
    shutil.copytree(recording, stores.storage)
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
