from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from tests.support.go_index import go_index
from tests.support.recording import LOGGER, US, record, write_foreign
from tests.support.storage import FIRST, contents, indexed, make_old, reconcile
from videostore.base.errors import VideoStoreError
from videostore.media.fmp4 import read_fragments
from videostore.storage.archive import Archive
from videostore.storage.index import FILE_NAME
from videostore.storage.reconciler import Reconciler


async def test_segments_of_a_killed_process_are_closed_with_their_exact_start_times(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times)
    starts = [read_fragments(path).start_us for path in sorted(archive.directory.glob("*.open"))]
    assert len(starts) == 4  # the last of them is <run>-000003.open
    await reconcile(archive)
    segments = await archive.index.oldest(10)
    assert [s.start_us for s in segments] == starts
    assert [s.file_name for s in segments] == [f"{start // US}.mp4" for start in starts]
    assert {s.run_us for s in segments} == {times[0]}
    assert sorted(contents(archive.directory)) == [s.file_name for s in segments]


async def test_a_segment_that_is_being_written_stays_open(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times)
    before = contents(archive.directory)
    await Reconciler(archive, LOGGER).reconcile(lambda run_us: run_us == times[0])
    assert contents(archive.directory) == before
    assert await indexed(archive) == []


async def test_a_walk_fails_if_the_directory_is_replaced_meanwhile(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times, segment_seconds=10)
    revived: list[asyncio.Task[bool]] = []

    def replace(_: int) -> bool:
        archive.directory.rename(archive.directory.with_name("elsewhere"))
        revived.append(asyncio.create_task(archive.revive()))
        return False

    with pytest.raises(VideoStoreError) as raised:
        await Reconciler(archive, LOGGER).reconcile(replace)
    assert raised.value.code == "storage-replaced" and not archive.reconciled.is_set()
    assert await revived[0]
    await reconcile(archive)
    assert archive.reconciled.is_set() and await indexed(archive) == []


async def test_unindexed_files_are_added_and_rows_without_files_are_removed(archive: Archive, recording: Path) -> None:
    paths = sorted(recording.glob("*.mp4"))
    for path in paths[:3]:
        shutil.copy(path, archive.directory)
    await reconcile(archive)
    assert await indexed(archive) == [path.name for path in paths[:3]]
    (archive.directory / paths[0].name).unlink()
    shutil.copy(paths[3], archive.directory)
    await reconcile(archive)
    assert await indexed(archive) == [path.name for path in paths[1:]]
    assert archive.timeline.stored_bytes == sum(path.stat().st_size for path in paths[1:])
    assert archive.timeline.segments == 3


async def test_a_file_that_changed_between_two_processes_is_read_again(archive: Archive, recording: Path) -> None:
    first, second = sorted(recording.glob("*.mp4"))[:2]
    (archive.directory / FIRST).write_bytes(first.read_bytes())
    await reconcile(archive)
    (archive.directory / FIRST).write_bytes(second.read_bytes())
    await archive.close()
    again = await Archive.open(archive.directory, LOGGER)
    await reconcile(again)
    (segment,) = await again.index.oldest(10)
    assert segment.start_us == read_fragments(second).start_us
    assert again.timeline.stored_bytes == second.stat().st_size
    await again.close()


async def test_a_file_that_became_unreadable_between_two_processes_is_set_aside_once_it_is_old(
    archive: Archive, recording: Path
) -> None:
    shutil.copy(min(recording.glob("*.mp4")), archive.directory)
    await reconcile(archive)
    path = archive.directory / FIRST
    path.write_bytes(path.read_bytes()[:100])
    reconciler = Reconciler(archive, LOGGER)
    await reconciler.reconcile(lambda _: False)
    assert path.exists()
    make_old(path)
    await reconciler.reconcile(lambda _: False)
    await reconciler.reconcile(lambda _: False)
    assert list(contents(archive.directory)) == [f"damaged/{FIRST}"] and await indexed(archive) == []


async def test_a_file_that_is_in_the_index_is_not_read_again(archive: Archive, recording: Path) -> None:
    reconciler = Reconciler(archive, LOGGER)
    shutil.copy(min(recording.glob("*.mp4")), archive.directory)
    await reconciler.reconcile(lambda _: False)
    path = archive.directory / FIRST
    path.write_bytes(b"x" * path.stat().st_size)  # reading the file would reveal this
    await reconciler.reconcile(lambda _: False)
    assert await indexed(archive) == [FIRST]


async def test_a_damaged_index_is_rebuilt_from_the_files(tmp_path: Path, recording: Path) -> None:
    shutil.copytree(recording, tmp_path / "storage")
    for path in (tmp_path / "storage").glob(FILE_NAME + "*"):
        path.unlink()
    (tmp_path / "storage" / FILE_NAME).write_bytes(b"garbage" * 1000)
    archive = await Archive.open(tmp_path / "storage", LOGGER)
    await reconcile(archive)
    assert await indexed(archive) == [path.name for path in sorted(recording.glob("*.mp4"))]
    await archive.close()


async def test_other_files_and_directories_are_neither_changed_nor_counted(archive: Archive, tmp_path: Path) -> None:
    directory = archive.directory
    for name in ("notes.txt", "clip.mp4", "1725634833.mp4.prog", "1725634833.avi", "5-1.open", "x-000001.open"):
        (directory / name).write_bytes(b"foreign")
    (directory / "1725634834.mp4").mkdir()
    (directory / "1725634834.mp4" / "1725634835.mp4").write_bytes(b"foreign")
    (directory / "123-000000.open").mkdir()
    (tmp_path / "elsewhere.mp4").write_bytes(b"foreign")
    (directory / "1725634836.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    for path in directory.rglob("*"):
        make_old(path)
    before = contents(directory)
    await reconcile(archive)
    assert contents(directory) == before
    assert (directory / "1725634836.mp4").is_symlink()
    assert await indexed(archive) == []
    assert archive.timeline.stored_bytes == 0


async def test_a_file_that_only_looks_like_a_recording_is_kept(archive: Archive) -> None:
    await write_foreign(archive.directory / "1.mp4")
    await reconcile(archive)
    assert await indexed(archive) == [] and (archive.directory / "1.mp4").exists()


@pytest.mark.parametrize("name", ["1725634833.mp4", "2024-09-06_15-00-33Z.mp4", "1725634833000000-000000.open"])
async def test_an_unreadable_file_is_kept_for_half_an_hour_and_then_deleted(archive: Archive, name: str) -> None:
    path = archive.directory / name
    path.write_bytes(b"\0\0\0\x18ftyp" + b"half-written")
    make_old(path, minutes=29)
    await reconcile(archive)
    assert path.exists()
    assert await indexed(archive) == []
    make_old(path, minutes=31)
    await reconcile(archive)
    assert not path.exists()


# The Go module's directories


async def test_a_directory_of_the_go_module_without_its_index_is_indexed(archive: Archive) -> None:
    local = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(1_725_634_863))
    names = ["1725634803.mp4", "2024-09-06_15-00-33Z.mp4", f"{local}.mp4"]
    for name in names:
        await write_foreign(archive.directory / name)
    before = contents(archive.directory)
    await reconcile(archive)
    assert [s.start_us // US for s in await archive.index.oldest(10)] == [1_725_634_803, 1_725_634_833, 1_725_634_863]
    assert await indexed(archive) == names
    assert contents(archive.directory) == before


async def test_a_directory_of_the_go_module_keeps_the_rows_of_its_index(tmp_path: Path) -> None:
    directory = tmp_path / "storage"
    for name in ("1725634803.mp4", "2024-09-06_15-00-33Z.mp4", "1725634863.mp4"):
        await write_foreign(directory / name)
    size = (directory / "1725634803.mp4").stat().st_size
    go_index(
        directory,
        ("1725634803.mp4", 1_725_634_803, 29_950, size),
        ("2024-09-06_15-00-33Z.mp4", 1_725_634_833, 29_950, size),
        ("1725634773.mp4", 1_725_634_773, 30_000, size),  # its file is gone
    )
    archive = await Archive.open(directory, LOGGER)
    await reconcile(archive)
    segments = await archive.index.oldest(10)
    assert [s.start_us // US for s in segments] == [1_725_634_803, 1_725_634_833, 1_725_634_863]
    assert [s.duration_us for s in segments] == [29_950_000, 29_950_000, 3 * US]  # rows of the index are not checked
    assert archive.timeline.stored_bytes == 3 * size
    await archive.close()
