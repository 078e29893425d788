"""All parts of a store together: recording, the quota, starting after a crash, and closing."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.feeding import feed_and_settle
from tests.support.recording import START_US, US, Feed, Stores, capture_times, record, until, write_foreign
from tests.support.watching import closed_segments
from videostore.base.errors import VideoStoreError
from videostore.clips.uploads import Uploads
from videostore.clips.workspace import WORK_DIRECTORY
from videostore.media.fmp4 import read_fragments
from videostore.storage.index import FILE_NAME


async def test_closed_segments_get_their_names_and_are_indexed_while_recording_continues(stores: Stores) -> None:
    feed, times = Feed(), capture_times(7)
    store = await stores.open(feed)
    await feed_and_settle(store, feed, times)
    await until(lambda: store.health().segments >= 3)
    closed = sorted(path.name for path in stores.storage.glob("*.mp4"))
    assert len(closed) == 3 and closed[0] == f"{START_US // US}.mp4"
    assert len(list(stores.storage.glob("*.open"))) == 1
    health = store.health()
    assert health.recorder is not None and health.recorder.recording
    assert health.stored_bytes >= sum((stores.storage / name).stat().st_size for name in closed)


async def test_closing_finishes_the_open_segment_and_leaves_no_process(stores: Stores) -> None:
    feed, times = Feed(), capture_times(5)
    store = await stores.open(feed)
    await feed_and_settle(store, feed, times)
    await store.close()
    assert psutil.Process().children() == []
    assert not list(stores.storage.glob("*.open"))
    paths = sorted(stores.storage.glob("*.mp4"))
    assert [t for path in paths for t in read_fragments(path).times_us] == times
    await store.close()  # a second time has no effect

    again = await stores.open()
    await until(lambda: again.health().segments == len(paths))


async def test_the_quota_is_kept_while_recording(stores: Stores) -> None:
    feed, times = Feed(), capture_times(16)
    quota = 120_000
    store = await stores.open(feed, size_gb=quota / 2**30)
    await feed_and_settle(store, feed, times)
    await until(lambda: len(list(stores.storage.glob("*.open"))) == 1 and len(closed_segments(stores.storage)) <= 1)
    await store.close()
    paths = sorted(stores.storage.glob("*.mp4"))
    sizes = [path.stat().st_size for path in paths]
    assert paths
    assert sum(sizes) <= quota + max(sizes)  # what closed last may stay until the next start
    assert read_fragments(paths[-1]).times_us[-1] == times[-1]
    assert read_fragments(paths[0]).start_us > START_US


async def test_a_lowered_quota_deletes_the_oldest_at_the_start(stores: Stores, recording: Path) -> None:
    shutil.copytree(recording, stores.storage)
    paths = sorted(stores.storage.glob("*.mp4"))
    keep = paths[2:]
    await stores.open(size_gb=sum(path.stat().st_size for path in keep) / 2**30)
    await until(lambda: not paths[1].exists())
    assert sorted(stores.storage.glob("*.mp4")) == keep


async def test_segments_of_a_killed_process_are_taken_over_and_its_temporary_files_removed(
    stores: Stores, times: list[int]
) -> None:
    await record(stores.storage, times)
    (last,) = stores.storage.glob("*-000003.open")
    os.truncate(last, read_fragments(last).size_bytes + 10)
    (stores.storage / WORK_DIRECTORY / "x").mkdir(parents=True)
    (stores.upload / "tag=a").mkdir(parents=True)
    clip = stores.upload / "tag=a" / "cam_2024-08-30_10-00-00.mp4"
    Uploads(stores.upload, "cam", stores.storage).progress_path(clip).write_bytes(b"half")
    store = await stores.open()
    await until(lambda: store.health().segments == 4)
    fetched = await store.fetch(times[0], times[-1] + 1)
    found = check_clip(read_clip(fetched.data), times, times[0], times[-1] + 1)
    assert found.flawless
    assert not list(stores.upload.rglob("*.prog"))
    assert not (stores.storage / WORK_DIRECTORY / "x").exists()


async def test_a_damaged_index_is_rebuilt_at_the_start(stores: Stores, recording: Path, times: list[int]) -> None:
    shutil.copytree(recording, stores.storage)
    for path in stores.storage.glob(FILE_NAME + "*"):
        path.unlink()
    (stores.storage / FILE_NAME).write_bytes(b"garbage" * 1000)
    store = await stores.open()
    await until(lambda: store.health().segments == 4)
    assert check_clip(read_clip((await store.fetch(times[0], times[-1])).data), times, times[0], times[-1]).flawless


async def test_the_error_for_a_storage_path_that_cannot_be_used_names_it(stores: Stores) -> None:
    stores.storage.write_bytes(b"a file")
    with pytest.raises(VideoStoreError, match=str(stores.storage)) as error:
        await stores.open()
    assert error.value.code == "storage-not-created" and error.value.path == stores.storage
    assert str(error.value) == (
        f"storage.storage_path {str(stores.storage)!r} cannot be created: {stores.storage} is not a directory. "
        "Name a directory that exists, or that this user may create."
    )


async def test_what_is_refused_leaves_no_directories_behind(stores: Stores) -> None:
    stores = Stores(stores.directory / "deep" / "inside")

    async def refused(code: str, **settings: Any) -> None:
        with pytest.raises(VideoStoreError) as error:
            await stores.open(**settings)
        assert error.value.code == code

    await refused("floor-beyond-device", min_free_gb=1e6)
    assert not stores.directory.parent.exists()
    stores.directory.mkdir(parents=True)
    stores.storage.write_bytes(b"a file")
    await refused("storage-not-created")
    assert not stores.upload.exists()
    stores.storage.unlink()
    stores.upload.write_bytes(b"a file")
    await refused("upload-path-unusable")
    assert not stores.storage.exists()
    stores.upload.unlink()

    store = await stores.open()
    stores.upload.rmdir()
    await refused("storage-in-use")
    assert not stores.upload.exists() and stores.storage.exists()
    await store.close()


async def test_a_directory_that_existed_before_stays_when_a_store_is_refused(stores: Stores) -> None:
    stores.upload.mkdir(parents=True)
    stores.storage.write_bytes(b"a file")
    with pytest.raises(VideoStoreError):
        await stores.open()
    assert stores.upload.is_dir()


async def test_files_that_are_added_and_deleted_are_noticed(stores: Stores, recording: Path) -> None:
    store = await stores.open()
    await asyncio.sleep(0.1)
    path = stores.storage / "1725634833.mp4"
    await write_foreign(path)
    await until(lambda: store.health().segments == 1)
    path.unlink()
    await until(lambda: store.health().segments == 0)
