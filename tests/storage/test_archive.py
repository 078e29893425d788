from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.go_index import go_index
from tests.support.recording import LOGGER, START_US, US, capture_times, record, write_foreign
from videostore.base.errors import VideoStoreError
from videostore.media.fmp4 import read_fragments
from videostore.storage.archive import Archive
from videostore.storage.index import FILE_NAME

START_S = START_US // US
FIRST = f"{START_S}.mp4"


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    """An archive over an empty directory."""
    archive = await Archive.open(tmp_path / "storage", LOGGER)
    yield archive
    await archive.close()


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory but the index."""
    paths = [p for p in directory.rglob("*") if p.is_file() and not p.name.startswith(FILE_NAME)]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


async def reconcile(archive: Archive) -> None:
    await archive.reconcile(lambda _: False)


async def indexed(archive: Archive) -> list[str]:
    return [segment.file_name for segment in await archive.index.oldest(1000)]


def make_old(path: Path, minutes: float = 31) -> None:
    then = time.time() - minutes * 60
    os.utime(path, (then, then))


# Closing


async def test_the_segments_of_a_killed_process_are_adopted_with_their_exact_starts(
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


async def test_a_segment_that_was_cut_off_ends_behind_its_last_whole_fragment(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    whole = read_fragments(path)
    os.truncate(path, whole.fragments[4].end_byte + 100)
    await reconcile(archive)
    (segment,) = await archive.index.oldest(10)
    content = read_fragments(archive.directory / segment.file_name)
    assert content.fragments == whole.fragments[:5]
    assert segment.size_bytes == whole.fragments[4].end_byte == (archive.directory / FIRST).stat().st_size
    assert segment.end_us == whole.fragments[4].end_us


async def test_a_segment_with_bad_bytes_in_its_middle_is_closed_with_all_that_lies_behind_them(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    whole = read_fragments(path)
    with path.open("r+b") as file:
        file.seek(whole.fragments[2].end_byte)
        file.write(b"\xff" * 64)
    before = path.read_bytes()
    await reconcile(archive)
    assert contents(archive.directory) == {FIRST: before}
    (closed,) = await archive.index.oldest(10)
    await archive.take_closed(FIRST)
    (read_again,) = await archive.index.oldest(10)
    assert (closed.size_bytes, closed.end_us) == (len(before), read_again.end_us)
    assert read_fragments(archive.directory / FIRST).fragments == whole.fragments[:3]


async def test_a_segment_that_is_being_written_is_left_to_its_ffmpeg(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times)
    before = contents(archive.directory)
    await archive.reconcile(lambda run_us: run_us == times[0])
    assert contents(archive.directory) == before
    assert await indexed(archive) == []


async def test_one_whose_end_is_not_written_waits_where_only_finished_ones_are_asked_for(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    whole = path.read_bytes()
    os.truncate(path, read_fragments(path).size_bytes)
    await archive.take_open(path, finished_only=True)
    assert path.exists()
    path.write_bytes(whole)
    await archive.take_open(path, finished_only=True)
    assert await indexed(archive) == [FIRST]


async def test_closing_the_same_segment_twice_is_closing_it_once(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    await asyncio.gather(archive.take_open(path), archive.take_open(path))
    assert await indexed(archive) == [FIRST]
    assert archive.timeline.segments == 1


async def test_a_name_that_is_taken_gets_the_next_free_one_and_nothing_is_written_over(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times, segment_seconds=10)
    strangers = {FIRST: b"somebody's", f"{START_S + 1}.mp4": b"another's"}
    for name, content in strangers.items():
        (archive.directory / name).write_bytes(content)
    await reconcile(archive)
    files = contents(archive.directory)
    assert {name: files[name] for name in strangers} == strangers
    assert read_fragments(archive.directory / f"{START_S + 2}.mp4").times_us == times
    assert await indexed(archive) == [f"{START_S + 2}.mp4"]


async def test_a_segment_of_the_same_second_gets_another_name(archive: Archive) -> None:
    """As when the clock was set back: the time of its frames is what counts."""
    for start_us in (START_US, START_US + 100_000):
        await record(archive.directory, capture_times(1.5, start_us))
        await reconcile(archive)
    segments = await archive.index.oldest(10)
    assert [s.file_name for s in segments] == [FIRST, f"{START_S + 1}.mp4"]
    assert [s.start_us for s in segments] == [START_US, START_US + 100_000]


async def test_a_crash_between_giving_the_new_name_and_taking_the_old_one_away_is_finished(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    os.link(path, archive.directory / FIRST)
    await reconcile(archive)
    assert list(contents(archive.directory)) == [FIRST]
    assert await indexed(archive) == [FIRST]
    assert (archive.timeline.segments, archive.timeline.stored_bytes) == (1, (archive.directory / FIRST).stat().st_size)


async def test_the_same_crash_with_the_first_name_taken_is_finished_too(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    (archive.directory / FIRST).write_bytes(b"somebody's")
    os.link(path, archive.directory / f"{START_S + 1}.mp4")
    await reconcile(archive)
    assert sorted(contents(archive.directory)) == [FIRST, f"{START_S + 1}.mp4"]
    assert (archive.directory / FIRST).read_bytes() == b"somebody's"


# Reconciling


async def test_files_without_rows_are_found_and_rows_without_files_forgotten(archive: Archive, recording: Path) -> None:
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


async def test_a_file_that_has_changed_since_the_last_process_is_probed_again(
    archive: Archive, recording: Path
) -> None:
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


async def test_what_the_index_knows_is_not_probed_again(archive: Archive, recording: Path) -> None:
    shutil.copy(min(recording.glob("*.mp4")), archive.directory)
    await reconcile(archive)
    path = archive.directory / FIRST
    path.write_bytes(b"x" * path.stat().st_size)  # a probe would find this out
    await reconcile(archive)
    assert await indexed(archive) == [FIRST]


async def test_the_index_is_rebuilt_from_the_files_when_it_is_damaged(tmp_path: Path, recording: Path) -> None:
    shutil.copytree(recording, tmp_path / "storage")
    for path in (tmp_path / "storage").glob(FILE_NAME + "*"):
        path.unlink()
    (tmp_path / "storage" / FILE_NAME).write_bytes(b"garbage" * 1000)
    archive = await Archive.open(tmp_path / "storage", LOGGER)
    await reconcile(archive)
    assert await indexed(archive) == [path.name for path in sorted(recording.glob("*.mp4"))]
    await archive.close()


async def test_after_opening_again_the_sums_are_those_of_before(archive: Archive, recording: Path) -> None:
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


async def test_foreign_files_and_directories_are_neither_touched_nor_counted(archive: Archive, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["1725634833.mp4", "2024-09-06_15-00-33Z.mp4", "1725634833000000-000000.open"])
async def test_an_unreadable_file_is_left_while_it_is_young_and_removed_after_half_an_hour(
    archive: Archive, name: str
) -> None:
    path = archive.directory / name
    path.write_bytes(b"\0\0\0\x18ftyp" + b"half-written")
    make_old(path, minutes=29)
    await reconcile(archive)
    assert path.exists()
    assert await indexed(archive) == []
    make_old(path, minutes=31)
    await reconcile(archive)
    assert not path.exists()


async def test_a_segment_that_is_told_of_by_name_is_taken_in(archive: Archive, recording: Path) -> None:
    path = min(recording.glob("*.mp4"))
    shutil.copy(path, archive.directory)
    await archive.take_closed(path.name)
    await archive.take_closed(path.name)
    await archive.take_closed("notes.txt")
    await archive.take_closed("1725634833.mp4")
    assert await indexed(archive) == [FIRST]
    assert archive.timeline.segments == 1
    await archive.forget([FIRST])
    assert await indexed(archive) == [FIRST]  # its file is there
    (archive.directory / FIRST).unlink()
    await archive.forget([FIRST])
    assert await indexed(archive) == []
    assert archive.timeline.segments == 0


# The Go module's directories


async def test_a_directory_of_the_go_module_is_taken_over_without_its_index(archive: Archive) -> None:
    local = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(1_725_634_863))
    names = ["1725634803.mp4", "2024-09-06_15-00-33Z.mp4", f"{local}.mp4"]
    for name in names:
        await write_foreign(archive.directory / name)
    before = contents(archive.directory)
    await reconcile(archive)
    assert [s.start_us // US for s in await archive.index.oldest(10)] == [1_725_634_803, 1_725_634_833, 1_725_634_863]
    assert await indexed(archive) == names
    assert contents(archive.directory) == before


async def test_a_directory_of_the_go_module_is_taken_over_with_its_index(tmp_path: Path) -> None:
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
    assert [s.duration_us for s in segments] == [29_950_000, 29_950_000, 3 * US]  # known rows are believed
    assert archive.timeline.stored_bytes == 3 * size
    await archive.close()


# Deleting


async def test_a_passing_error_of_the_system_deletes_nothing(archive: Archive, recording: Path) -> None:
    """No file descriptors are left while old recordings are read for the first time: they are read the next time."""
    path = archive.directory / "1725634833.mp4"
    shutil.copy(min(recording.glob("*.mp4")), path)
    os.utime(path, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name) for name in os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    held = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        segments = archive._probe_all([path.name])
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert segments == [] and path.exists()
    assert [s.file_name for s in archive._probe_all([path.name])] == [path.name]


async def test_an_unreadable_file_stays_where_it_was_the_disk_that_did_not_give_it(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive.directory / "1725634833.mp4"
    path.write_bytes(b"\xa5" * 5000)
    make_old(path)

    def failing(_: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("videostore.storage.archive.read_through", failing)
        await reconcile(archive)
    assert path.exists()
    await reconcile(archive)
    assert not path.exists()


async def test_a_file_that_only_looks_like_a_recording_is_left_alone(archive: Archive) -> None:
    await write_foreign(archive.directory / "1.mp4")
    await reconcile(archive)
    assert await indexed(archive) == [] and (archive.directory / "1.mp4").exists()


async def test_a_second_recorder_on_the_same_directory_is_refused_with_a_sentence(archive: Archive) -> None:
    with pytest.raises(VideoStoreError, match="in use by another recorder"):
        await Archive.open(archive.directory, LOGGER)
    await reconcile(archive)  # the first one goes on


async def test_deleting_the_oldest_removes_files_rows_and_sums(archive: Archive, recording: Path) -> None:
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
