from __future__ import annotations

import asyncio
import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, US, record
from tests.support.storage import FIRST, contents, indexed, reconcile
from videostore.base.errors import VideoStoreError
from videostore.base.files import mount_point
from videostore.media.fmp4 import read_fragments
from videostore.storage.archive import Archive

# Closing


async def test_with_finished_only_a_segment_without_its_end_stays_open(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    whole = path.read_bytes()
    os.truncate(path, read_fragments(path).size_bytes)
    await archive.take_open(path, finished_only=True)
    assert path.exists()
    path.write_bytes(whole)
    await archive.take_open(path, finished_only=True)
    assert await indexed(archive) == [FIRST]


async def test_closing_a_segment_twice_at_the_same_time_adds_it_once(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    await asyncio.gather(archive.take_open(path), archive.take_open(path))
    assert await indexed(archive) == [FIRST]
    assert archive.timeline.segments == 1


# Adding and forgetting


async def test_a_segment_is_added_and_forgotten_by_its_name(archive: Archive, recording: Path) -> None:
    path = min(recording.glob("*.mp4"))
    shutil.copy(path, archive.directory)
    await archive.take_closed(path.name)
    await archive.take_closed(path.name)
    await archive.take_closed("notes.txt")
    await archive.take_closed("1725634833.mp4")
    assert await indexed(archive) == [FIRST]
    assert archive.timeline.segments == 1
    await archive.forget([FIRST])
    assert await indexed(archive) == [FIRST]  # the file still exists
    (archive.directory / FIRST).unlink()
    await archive.forget([FIRST])
    assert await indexed(archive) == []
    assert archive.timeline.segments == 0


async def test_after_reopening_the_sums_and_ranges_are_the_same(archive: Archive, recording: Path) -> None:
    for path in recording.glob("*.mp4"):
        shutil.copy(path, archive.directory)
    await reconcile(archive)
    await archive.close()
    again = await Archive.open(archive.directory, LOGGER)
    for one in (again.timeline, archive.timeline):
        assert one.stored_bytes == sum(path.stat().st_size for path in recording.glob("*.mp4"))
    assert again.timeline.ranges() == archive.timeline.ranges()
    assert again.timeline.stored_us == archive.timeline.stored_us > 6 * US
    await again.close()


async def test_a_second_recorder_on_the_same_directory_is_refused(archive: Archive) -> None:
    with pytest.raises(VideoStoreError, match=f"used by process {os.getpid()}"):
        await Archive.open(archive.directory, LOGGER)
    await reconcile(archive)  # the first one is not affected


async def test_a_recorder_that_was_given_up_while_its_disk_hung_does_not_keep_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, goes_on = threading.Event(), threading.Event()

    def hang(directory: Path) -> Path:
        waits.set()
        assert goes_on.wait(120)
        return mount_point(directory)

    monkeypatch.setattr("videostore.storage.directory_lock.mount_point", hang)
    opening = asyncio.create_task(Archive.open(tmp_path, LOGGER))
    assert await asyncio.to_thread(waits.wait, 120)
    opening.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    del opening
    await (await Archive.open(tmp_path, LOGGER)).close()


# Deleting


async def test_deleting_the_oldest_updates_files_index_and_sums(archive: Archive, recording: Path) -> None:
    for path in recording.glob("*.mp4"):
        shutil.copy(path, archive.directory)
    await reconcile(archive)
    segments = await archive.index.oldest(10)
    wanted_bytes = segments[0].size_bytes + 1
    assert await archive.delete_oldest(wanted_bytes, 10) == sum(s.size_bytes for s in segments[:2])
    assert await indexed(archive) == [s.file_name for s in segments[2:]]
    assert sorted(contents(archive.directory)) == [s.file_name for s in segments[2:]]
    assert archive.timeline.stored_bytes == sum(s.size_bytes for s in segments[2:])
    (rest,) = archive.timeline.ranges()
    assert (rest.from_us, rest.to_us) == (segments[2].start_us, segments[3].end_us)
