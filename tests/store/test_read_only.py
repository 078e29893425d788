"""Read-only stores: over a copy, over what a crash left behind, and beside a recorder."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import LOGGER, START_US, US, Pulse, Stores, capture_times, record, until, write_foreign
from videostore import FFmpegError, NothingStoredError, RequestError, VideoStore, VideoStoreError
from videostore.base.ranges import Range
from videostore.base.system import LINUX
from videostore.storage.index import FILE_NAME
from videostore.storage.segment_files import close_segment

Contents = dict[str, tuple[int, int, int, bytes]]


@pytest.fixture
def storage(tmp_path: Path, recording: Path) -> Path:
    """A copy of the recording of 7 s."""
    return Path(shutil.copytree(recording, tmp_path / "storage"))


@pytest.fixture
def read_only_disk(tmp_path: Path, recording: Path) -> Iterator[Path]:
    """The recording on a read-only disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root alone")
    try:
        shutil.copytree(recording, disk / "storage")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        yield disk / "storage"
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def contents(directory: Path) -> Contents:
    """Everything about the files that reading could change."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        found[str(path)] = (
            status.st_ino,
            status.st_nlink,
            status.st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
    return found


async def take_all(directory: Path, times: list[int]) -> None:
    """Make every request, and check each frame."""
    from_us, to_us = times[3], times[-5]
    async with VideoStore.open(directory, logger=LOGGER) as store:
        ranges = (await store.state()).ranges
        assert ranges[0].from_us == times[0] and abs(ranges[-1].to_us - times[-1]) < US
        for container in ("mp4", "fmp4"):
            clip = await store.fetch(from_us, to_us, container=container)
            assert clip.ranges is None
            assert check_clip(read_clip(clip.data), times, from_us, to_us).flawless
        streamed = b"".join([block async for block in store.stream(from_us, to_us)])
        assert check_clip(read_clip(streamed), times, from_us, to_us).flawless
        assert store.health().recorder is None
    assert psutil.Process().children() == []


async def test_all_requests_are_answered_and_nothing_is_changed(storage: Path, times: list[int]) -> None:
    before = contents(storage)
    await take_all(storage, times)
    assert contents(storage) == before


async def test_all_requests_are_answered_on_a_read_only_disk(read_only_disk: Path, times: list[int]) -> None:
    await take_all(read_only_disk, times)


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * 5000)])
async def test_without_an_index_the_files_are_read_and_no_index_is_created(
    storage: Path, times: list[int], spoil: object
) -> None:
    spoil(storage / FILE_NAME)  # type: ignore[operator]
    before = contents(storage)
    await take_all(storage, times)
    assert contents(storage) == before


async def test_segments_that_a_crash_left_open_are_read_and_stay_open(tmp_path: Path) -> None:
    times = capture_times(5)
    await record(tmp_path / "storage", times)
    before = contents(tmp_path / "storage")
    assert all(name.endswith(".open") for name in before)
    await take_all(tmp_path / "storage", times)
    assert contents(tmp_path / "storage") == before


async def test_unreadable_files_are_left_in_place_however_old_they_are(storage: Path, times: list[int]) -> None:
    damaged = sorted(storage.glob("*.mp4"))[1]
    damaged.write_bytes(b"\xa5" * 5000)
    os.utime(damaged, (0, 0))
    before = contents(storage)
    async with VideoStore.open(storage, logger=LOGGER) as store:
        clip = await store.fetch(times[0], times[-1])
        assert clip.ranges is not None and len(clip.ranges) == 2
    assert contents(storage) == before


async def test_a_directory_of_the_go_module_is_read_as_it_is(tmp_path: Path) -> None:
    await write_foreign(tmp_path / "1725634833.mp4")
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    with connection:
        connection.execute(
            "CREATE TABLE files (id INTEGER NOT NULL PRIMARY KEY, file_name TEXT NOT NULL UNIQUE,"
            " start_time_unix INTEGER NOT NULL, duration_ms INTEGER NOT NULL, size_bytes INTEGER NOT NULL,"
            " width INTEGER NOT NULL, height INTEGER NOT NULL, codec TEXT NOT NULL,"
            " inserted_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL, deleted_at TIMESTAMP)"
        )
        connection.execute(
            "INSERT INTO files (file_name, start_time_unix, duration_ms, size_bytes, width, height, codec)"
            " VALUES ('1725634833.mp4', 1725634833, 3000, ?, 160, 144, 'h264')",
            (tmp_path.joinpath("1725634833.mp4").stat().st_size,),
        )
    connection.close()
    before = contents(tmp_path)
    async with VideoStore.open(tmp_path) as store:
        assert (await store.state()).ranges == (Range(1_725_634_833 * US, 1_725_634_836 * US),)
        clip = await store.fetch("2024-09-06T15:00:33Z", "+3s")
        assert len(read_clip(clip.data)) == 30
    assert contents(tmp_path) == before


async def test_beside_a_recorder_new_segments_are_found_and_recording_is_not_disturbed(stores: Stores) -> None:
    pulse = Pulse(0.05)
    recording = await stores.open(pulse, segment_seconds=1)
    await until(lambda: recording.health().segments >= 1)
    async with VideoStore.open(stores.storage, logger=LOGGER) as store:
        for _ in range(3):
            to_us = pulse.delivered[-1]
            deadline = time.monotonic() + 150
            while (await store.state()).ranges[-1].to_us <= to_us:  # segments of later times than its start
                assert time.monotonic() < deadline
                recorder = recording.health().recorder
                assert recorder is not None and recorder.recording
                await asyncio.sleep(0.02)
            from_us = max(pulse.delivered[0], to_us - 2 * US)
            clip = await store.fetch(from_us, to_us)
            assert check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us).flawless
        pending = await recording.save(to_us - US, to_us, wait=False)
        with pytest.raises(VideoStoreError, match="no save with this name"):
            await store.save_status(pending.file_name)  # only the recorder knows its queued saves
    health = recording.health()
    assert health.recorder is not None and health.recorder.ffmpeg_restarts == health.recorder.dropped_frames == 0
    assert health.index_trouble is None and health.storage_trouble is None
    check = await recording.fetch(pulse.delivered[0], to_us)
    assert check_clip(read_clip(check.data), pulse.delivered, pulse.delivered[0], to_us).flawless


async def test_segments_that_the_quota_deletes_meanwhile_are_missing_in_the_ranges(
    storage: Path, times: list[int]
) -> None:
    async with VideoStore.open(storage, logger=LOGGER) as store:
        min(storage.glob("*.mp4")).unlink()
        clip = await store.fetch(times[0], times[-1])
        assert clip.ranges is not None and len(clip.ranges) == 1 and clip.ranges[0].from_us > times[0] + US
        deadline = time.monotonic() + 150
        while (await store.state()).ranges[0].from_us == times[0]:
            assert time.monotonic() < deadline


async def test_a_save_is_written_beside_the_directory_and_asynchronous_saves_are_refused(
    storage: Path, times: list[int]
) -> None:
    async with VideoStore.open(storage, name="gate", logger=LOGGER) as store:
        saved = await store.save(times[3], times[9], metadata="seen")
        assert saved.path.parent == storage.with_name("storage-clips") and saved.file_name.startswith("gate_")
        assert check_clip(read_clip(saved.path.read_bytes()), times, times[3], times[9]).flawless
        with pytest.raises(RequestError, match="cannot schedule saves"):
            await store.save(times[3], times[9], wait=False)


async def test_the_error_for_a_missing_storage_directory_names_it(tmp_path: Path) -> None:
    with pytest.raises(VideoStoreError, match="There is no storage directory"):
        await VideoStore.open(tmp_path / "nowhere").start()
    (tmp_path / "file").touch()
    with pytest.raises(VideoStoreError, match=r"file cannot be used: .*file is not a directory"):
        await VideoStore.open(tmp_path / "file").start()
    async with VideoStore.open(tmp_path) as store:
        assert (await store.state()).ranges == ()
        with pytest.raises(NothingStoredError, match="the storage is empty"):
            await store.fetch(START_US, START_US + US)
    assert sorted(os.listdir(tmp_path)) == ["file"]


@pytest.mark.skipif(not LINUX, reason="other systems have no names for open files")
async def test_a_segment_that_is_deleted_while_a_clip_is_made_is_in_the_clip(storage: Path, times: list[int]) -> None:
    from_us, to_us = times[3], times[-5]
    async with VideoStore.open(storage, logger=LOGGER) as store:
        announced: list[object] = []

        def delete_all(ranges: object) -> None:
            announced.append(ranges)
            for segment in storage.glob("*.mp4"):
                segment.unlink()

        async with store._clips.plan(from_us, to_us) as plan, store._clips.temporary() as path:
            data = b"".join([block async for block in store.stream(from_us, to_us, on_ranges=delete_all)])
            assert announced == [None] and check_clip(read_clip(data), times, from_us, to_us).flawless
            await store._clips.cut(plan, path)
            assert check_clip(read_clip(path.read_bytes()), times, from_us, to_us).flawless
    assert not [name for name in os.listdir("/proc/self/fd") if str(storage) in _leads_to(name)]


@pytest.mark.parametrize("victim", [1, 3])
async def test_a_stream_raises_if_a_segment_is_deleted_that_could_not_be_linked(
    storage: Path, times: list[int], monkeypatch: pytest.MonkeyPatch, victim: int
) -> None:
    monkeypatch.setattr("videostore.clips.segment_links.descriptor_room", lambda _: 0)
    async with VideoStore.open(storage, logger=LOGGER) as store:
        path = sorted(storage.glob("*.mp4"))[victim]
        streaming = store.stream(times[0], times[-1] + 1, on_ranges=lambda _: path.unlink())
        await anext(streaming)
        with pytest.raises(FFmpegError, match="The clip is not complete"):
            async for _ in streaming:
                pass
        clip = await store.fetch(times[0], times[-1] + 1)  # a new plan leaves it out
        assert clip.ranges is not None


def _leads_to(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""


async def test_a_range_between_frames_of_a_slow_camera_is_told_in_the_open_segment_too(tmp_path: Path) -> None:
    """With two segments that were closed, and one that is open: the reader knows both."""
    slow = capture_times(300, fps=1 / 20, seed=None)
    storage = tmp_path / "slow"
    await record(storage, slow, segment_seconds=120)
    for path in sorted(storage.glob("*.open"))[:-1]:
        close_segment(path, finished_only=False)
    assert len(list(storage.glob("*.open"))) == 1
    async with VideoStore.open(storage) as store:
        for before_us, after_us in itertools.pairwise(slow):
            with pytest.raises(NothingStoredError) as refused:
                await store.fetch(before_us + 9 * US, before_us + 9 * US + 100_000)
            error = refused.value
            assert (error.code, error.before_us, error.after_us) == ("no-frame-in-range", before_us, after_us)
