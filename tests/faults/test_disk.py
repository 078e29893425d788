"""Disks that fill up, are read-only or go away: recording goes on, or says why it stopped and resumes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.disk import FailingDisk, flawless_now, mount, recording_now
from tests.support.feeding import feed_and_settle
from tests.support.recording import (
    LOGGER,
    SIZE,
    US,
    Feed,
    FixedClock,
    Pulse,
    Stores,
    capture_times,
    packet,
    record,
    take_over,
    until,
)
from videostore.base.constants import GIB
from videostore.base.errors import ConfigError, VideoStoreError
from videostore.base.ranges import Range
from videostore.media.packet import Gap
from videostore.storage.notes import Event, Notes
from videostore.store.marking import make_event
from videostore.store.store import VideoStore

MIB = 1 << 20


@pytest.fixture
async def small(small_disk: Path) -> AsyncIterator[Stores]:
    """Stores whose storage path and upload path are on the small disk."""
    stores = Stores(small_disk)
    yield stores
    await stores.close()


async def test_recording_never_fills_the_disk_although_the_quota_is_larger(small: Stores) -> None:
    """The oldest segments are deleted to keep `min_free_gb`, and to make room for the index, which grows."""
    await record(small.storage, capture_times(100))
    pulse, floor_bytes = Pulse(0.05, (640, 360)), MIB
    store = await small.open(pulse, size_gb=100, segment_seconds=1, min_free_gb=floor_bytes / 2**30)
    await until(lambda: store.health().segments >= 50 + 6)
    third = sorted(small.storage.glob("*.mp4"))[2]
    filled_bytes = shutil.disk_usage(small.directory).free - floor_bytes
    (small.directory / "foreign").write_bytes(bytes(filled_bytes))
    least = floor_bytes

    def three_deleted() -> bool:
        nonlocal least
        least = min(least, shutil.disk_usage(small.directory).free)
        return not third.exists()

    await until(three_deleted)
    assert least > floor_bytes - 500_000  # two seconds of recording and the index, until maintenance deletes segments
    assert store.health().segments > 0
    await flawless_now(store, pulse)
    recorder = store.health().recorder
    assert recorder is not None and recorder.ffmpeg_restarts == 0


async def test_a_disk_that_another_program_fills_stops_recording_only_until_there_is_room(small: Stores) -> None:
    pulse = Pulse(0.05, SIZE)
    store = await small.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 3)
    filler = small.directory / "foreign"
    with filler.open("wb", buffering=0) as file:

        def fill_until_ffmpeg_has_failed_twice() -> bool:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(64 * 1024))
            failed = store.health().recorder
            return failed is not None and failed.ffmpeg_restarts >= 2

        await until(fill_until_ffmpeg_has_failed_twice)
        reason = str(store.health().recorder.reason)  # type: ignore[union-attr]
        assert reason.startswith(f"'{small.storage}' had no room for the recording"), reason
    filler.unlink()
    await until(lambda: recording_now(store))
    await flawless_now(store, pulse)


async def test_stored_video_can_be_fetched_while_the_disk_is_full(small: Stores, tmp_path: Path) -> None:
    times = capture_times(7)
    await record(small.storage, times)
    store = await small.open(min_free_gb=1e-6)
    await until(lambda: store.health().segments == 4)
    with (small.directory / "foreign").open("wb", buffering=0) as file:
        for size in (64 * 1024, 1024, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert shutil.disk_usage(small.directory).free == 0
    # Retention deletes for the floor, but the newest segments can be fetched while they exist.
    clip = await store.fetch(times[45], times[60])
    assert check_clip(read_clip(clip.data), times, times[45], times[60]).flawless


async def test_a_read_only_disk_can_be_read_and_recording_resumes_when_it_is_writable(small: Stores) -> None:
    times = capture_times(4)
    await record(small.storage, times)
    await take_over(small.storage)
    await record(small.storage, capture_times(1, times[-1] + 60 * US))  # left open
    await mount("-o", "remount,ro", small.directory)
    pulse = Pulse()
    store = await small.open(pulse)
    await until(lambda: store.health().segments == 2)
    clip = await store.fetch(times[3], times[30])
    assert check_clip(read_clip(clip.data), times, times[3], times[30]).flawless
    assert store.health().index_trouble
    await until(lambda: "ead-only" in store.health().recorder.reason)  # type: ignore[union-attr]
    await mount("-o", "remount,rw", small.directory)
    await until(lambda: recording_now(store))
    await flawless_now(store, pulse)
    await until(lambda: store.health().index_trouble is None)


async def test_a_floor_as_large_as_the_device_is_refused(small: Stores) -> None:
    with pytest.raises(ConfigError) as refused:
        await small.open(min_free_gb=1)
    assert (refused.value.code, refused.value.attribute) == ("floor-beyond-device", "storage.min_free_gb")
    assert refused.value.fields["device_bytes"] == 12 * MIB


async def test_a_storage_directory_that_is_removed_while_recording_is_recreated(stores: Stores) -> None:
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=30)
    await until(lambda: len(pulse.delivered) > 10)
    shutil.rmtree(stores.storage)
    await until(lambda: stores.storage.exists() and recording_now(store) and list(stores.storage.glob("*.open")))
    await flawless_now(store, pulse)
    assert (stores.storage / "index.sqlite.db").exists()
    second = Stores(stores.directory)
    with pytest.raises(VideoStoreError) as refused:
        await second.open()
    assert refused.value.code == "storage-in-use"


async def test_a_storage_directory_that_is_replaced_by_a_copy_is_used_with_what_it_holds(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    shutil.copytree(recording, stores.storage)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=30)
    await until(lambda: store.health().segments == 4 and recording_now(store))
    stores.storage.rename(stores.directory / "old")
    shutil.copytree(recording, stores.storage)
    await until(lambda: len(list(stores.storage.glob("*.open"))) == 1)
    await flawless_now(store, pulse)
    clip = await store.fetch(times[3], times[30])
    assert check_clip(read_clip(clip.data), times, times[3], times[30]).flawless


async def test_what_is_kept_on_a_disk_that_takes_the_place_of_another_one_stays_kept(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    """A disk that is mounted after the recorder has begun has events of its own."""
    other, before = stores.directory / "other", stores.directory / "before"
    shutil.copytree(recording, other)
    mine = make_event(times[3], "kept there", 1, 1, keep=True)
    await mark(other, mine)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=30)
    await until(lambda: recording_now(store))
    await store.mark("noted before")
    stores.storage.rename(before)
    other.rename(stores.storage)
    await until(lambda: store.health().segments >= 4 and recording_now(store))
    assert [one.label for one in (await store.state()).events] == ["kept there"]
    assert store._holds.kept() == [Range(mine.from_us, mine.to_us)]
    await store.mark("noted after")
    await stores.close()
    labels = {}
    for directory in (before, stores.storage):
        notes = Notes(directory, LOGGER, read_only=True)
        await notes.load()
        labels[directory] = [one.label for one in notes.events]
    assert labels == {before: ["noted before"], stores.storage: ["kept there", "noted after"]}


async def test_what_may_be_kept_is_not_deleted_while_a_bad_sector_hides_it(
    small: Stores, recording: Path, times: list[int]
) -> None:
    shutil.copytree(recording, small.storage)
    await mark(small.storage, make_event(times[3], "kept", 0.5, 0.5, keep=True))
    before = sorted(small.storage.glob("*.mp4"))
    quota_bytes = sum(path.stat().st_size for path in before) * 7 // 10
    await mount("--bind", f"/proc/{os.getpid()}/mem", small.storage / "notes.json")  # reading it is an error
    try:
        store = await small.open(Pulse(), size_gb=quota_bytes / GIB, segment_seconds=1)
        recorded: set[Path] = set()

        def some_deleted() -> bool:
            recorded.update(set(small.storage.glob("*.mp4")).difference(before))
            return not all(path.exists() for path in recorded)

        await until(some_deleted)
        assert all(path.exists() for path in before)
        health = store.health()
        assert health.stored_bytes <= quota_bytes * 3 // 2 + 2 * health.stored_bytes // health.segments
        assert "notes.json cannot be read: Input/output error. It tells" in (health.storage_trouble or "")
    finally:
        await unmount(small.storage / "notes.json")
    await store.mark("after")
    kept = {path for path in before if path.name in await names_of(store, times[3])}
    await until(lambda: {path for path in before if path.exists()} == kept)
    assert [one.label for one in await store.events()] == ["kept", "after"] and store.health().storage_trouble is None


async def unmount(path: Path) -> None:
    process = await asyncio.create_subprocess_exec("umount", path)
    assert await process.wait() == 0


async def names_of(store: VideoStore, time_us: int) -> set[str]:
    """The segments that hold what is around a moment."""
    return {one.file_name for one in await store._archive.index.select(time_us - US // 2, time_us + US // 2)}


async def mark(directory: Path, event: Event) -> None:
    notes = Notes(directory, LOGGER, read_only=False)
    await notes.load()
    await notes.add_event(event)


async def test_recording_waits_for_an_unmounted_disk_and_writes_nothing_below_its_mount_point(small: Stores) -> None:
    """Otherwise the recording would fill the disk below the mount point, hidden once the disk is back."""
    pulse = Pulse()
    store = await small.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 1)
    process = await asyncio.create_subprocess_exec("umount", "-l", small.directory)
    assert await process.wait() == 0
    await until(lambda: "is gone" in (store.health().storage_trouble or ""))
    await until(lambda: not store.health().recorder.recording)  # type: ignore[union-attr]
    assert list(small.directory.iterdir()) == []
    await mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", small.directory)
    small.storage.mkdir(exist_ok=True)  # the store may have seen it first
    await until(lambda: recording_now(store))
    await flawless_now(store, pulse)


async def test_what_is_stored_on_a_disk_that_is_gone_is_not_counted_as_dropped(small: Stores) -> None:
    feed, times = Feed(), capture_times(9)
    store = await small.open(feed, segment_seconds=2)
    await feed_and_settle(store, feed, times)
    await until(lambda: store.health().segments == 4)
    end_us = store._archive.timeline.end_us
    assert end_us is not None
    process = await asyncio.create_subprocess_exec("umount", "-l", small.directory)
    assert await process.wait() == 0
    for one in psutil.Process().children():
        one.kill()
    await until(lambda: store._run is None)
    recorder = store.health().recorder
    await mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", small.directory)  # the fixture takes it away
    assert recorder is not None
    assert 0 < recorder.dropped_frames <= sum(one >= end_us for one in times)


async def test_a_disk_that_fails_for_a_while_stops_neither_recording_nor_maintenance(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, clock = Feed(), FixedClock()
    disk = FailingDisk(monkeypatch, "stat")
    store = await stores.open(feed, clock=clock)
    times = capture_times(3)
    feed.put(*map(packet, times))
    await until(lambda: store.health().recorder.last_frame_age_s is not None)  # type: ignore[union-attr]
    disk.fails = True
    feed.put(Gap("the camera is silent"))
    await asyncio.sleep(2.5)  # one round of maintenance
    assert store.health().recorder is not None  # the health can be read meanwhile
    disk.fails = False
    later = capture_times(3, times[-1] + 20 * US)
    feed.put(*map(packet, later), Gap("the end of the test"))
    await until(lambda: store.health().stored_seconds > 5 and not list(stores.storage.glob("*.open")))
    for some in (times, later):
        clip = await store.fetch(some[0], some[-1] + 1)
        assert check_clip(read_clip(clip.data), some, some[0], some[-1] + 1).flawless


async def test_a_segment_that_cannot_be_closed_yet_is_in_clips_and_is_closed_later(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed()
    disk = FailingDisk(monkeypatch, "link", "rename")
    store = await stores.open(feed, segment_seconds=30)
    times = capture_times(3)
    disk.fails = True
    feed.put(*map(packet, times), Gap("the camera is silent"))
    await until(lambda: store._archive.unclosed)
    clip = await store.fetch(times[0], times[-1] + 1)
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless
    disk.fails = False
    await until(lambda: store.health().segments == 1)
    assert not store._archive.unclosed and not list(stores.storage.glob("*.open"))


async def test_foreign_files_and_directories_are_neither_changed_nor_counted(stores: Stores, recording: Path) -> None:
    shutil.copytree(recording, stores.storage)
    foreign = {
        "notes.txt": b"n" * 5000,
        "holiday.mp4": b"h" * 5000,
        "1725000000.mkv": b"k" * 5000,
        "sub/1725000000.mp4": b"s" * 5000,
        "1725000099.mp4/1725000000.mp4": b"d" * 5000,
    }
    for name, content in foreign.items():
        path = stores.storage / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    store = await stores.open(size_gb=1e-6)
    await until(lambda: store._archive.reconciled.is_set() and store.health().segments == 0)
    assert (await store.state()).used_bytes == 0
    assert not [path for path in stores.storage.glob("17*.mp4") if path.is_file()]
    for name, content in foreign.items():
        assert (stores.storage / name).read_bytes() == content


async def test_files_with_names_that_are_no_text_do_not_trouble_a_recording(
    stores: Stores, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do pipes, devices, sockets and links with the names of segments."""
    pulse = Pulse()
    store = await stores.open(pulse)
    await until(lambda: store.health().segments >= 1)
    places = [stores.storage / f"{1_700_000_000 + number}.mp4" for number in range(4)]
    with socket.socket(socket.AF_UNIX) as listening:
        for name in (b"\xff\xfe.mp4", b"line\nbreak.mp4", b"\xe9" + b"x" * 250 + b".mp4"):
            Path(os.fsdecode(os.fsencode(stores.storage) + b"/" + name)).write_bytes(b"foreign")
        os.mkfifo(places[0])
        monkeypatch.chdir(stores.storage)  # the path of a socket is short
        listening.bind(places[1].name)
        places[2].symlink_to("/dev/zero")
        places[3].symlink_to(places[3])
        before = store.health().segments
        await until(lambda: store.health().segments >= before + 2)
    await flawless_now(store, pulse)
    assert not [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert store.health().storage_trouble is None


def test_what_tests_mount_is_seen_by_no_other_process(small_disk: Path) -> None:
    """So that it is gone when they end, also where they are killed."""
    assert str(small_disk) in Path("/proc/self/mounts").read_text()
    assert str(small_disk) not in Path(f"/proc/{os.getppid()}/mounts").read_text()
