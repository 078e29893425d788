"""The Go module's index and segments, beside ours."""

from __future__ import annotations

import sqlite3

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.go_index import GO_INSERT, go_index
from tests.support.indexed import check_all_recorded, delete
from tests.support.recording import US, Pulse, Stores, capture_times, record, take_over, until, write_foreign
from videostore.base.clock import SystemClock
from videostore.media.fmp4 import read_fragments
from videostore.storage.index import FILE_NAME

pytestmark = pytest.mark.usefixtures("short_intervals")
GO_US = 1_725_600_000 * US


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
