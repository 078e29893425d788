"""Disks that fill up, are read-only, or go away: the recording goes on, or says why not and resumes by itself."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import (
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
from videostore.base.errors import ConfigError
from videostore.media.packet import Gap
from videostore.store.store import VideoStore

MIB = 1 << 20


@pytest.fixture
async def small(small_disk: Path) -> AsyncIterator[Stores]:
    """Stores whose storage and upload path lie on the small disk."""
    stores = Stores(small_disk)
    yield stores
    await stores.close()


async def mount(*options: str | Path) -> None:
    process = await asyncio.create_subprocess_exec("mount", *options)
    assert await process.wait() == 0


def recording_now(store: VideoStore) -> bool:
    recorder = store.health().recorder
    assert recorder is not None
    return recorder.recording and (recorder.last_frame_age_s or 9) < 2


async def flawless_now(store: VideoStore, pulse: Pulse) -> None:
    """Wait for two seconds of new recording, and compare them with what was delivered."""
    count = len(pulse.delivered)
    await until(lambda: len(pulse.delivered) > count and pulse.delivered[-1] - pulse.delivered[count] > 3.5 * US)
    from_us, to_us = pulse.delivered[count], pulse.delivered[count] + 2 * US
    clip = await store.fetch(from_us, to_us)
    assert check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us).flawless


async def test_a_disk_that_the_recording_itself_would_fill_keeps_its_room(small: Stores) -> None:
    """The quota is far larger than the disk: the oldest segments go."""
    pulse, floor_bytes = Pulse(0.05, (640, 360)), MIB
    store = await small.open(pulse, size_gb=100, segment_seconds=1, min_free_gb=floor_bytes / 2**30)
    await until(lambda: store.health().segments >= 6)
    first = min(path.name for path in small.storage.glob("*.mp4"))
    filled_bytes = shutil.disk_usage(small.directory).free - floor_bytes
    (small.directory / "somebody's").write_bytes(bytes(filled_bytes))
    least = floor_bytes
    for _ in range(60):
        await asyncio.sleep(0.1)
        least = min(least, shutil.disk_usage(small.directory).free)
    assert least > floor_bytes - 500_000  # what two seconds of recording and the index take, until upkeep sees it
    assert store.health().segments > 0 and not (small.storage / first).exists()
    await flawless_now(store, pulse)
    recorder = store.health().recorder
    assert recorder is not None and recorder.ffmpeg_restarts == 0


async def test_a_disk_that_somebody_else_fills_costs_old_segments_and_recording_resumes(small: Stores) -> None:
    pulse = Pulse(0.05, SIZE)
    store = await small.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 3)
    filler = small.directory / "somebody's"
    with filler.open("wb", buffering=0) as file:
        for _ in range(40):  # as long as there is any room, for some seconds
            try:
                while True:
                    file.write(bytes(64 * 1024))
            except OSError:
                await asyncio.sleep(0.1)
    failed = store.health().recorder
    assert failed is not None and failed.ffmpeg_restarts > 0
    filler.unlink()
    await until(lambda: recording_now(store), 35)
    await flawless_now(store, pulse)


async def test_a_full_disk_leaves_what_is_stored_readable(small: Stores, tmp_path: Path) -> None:
    times = capture_times(7)
    await record(small.storage, times)
    store = await small.open(min_free_gb=1e-6)
    await until(lambda: store.health().segments == 4)
    with (small.directory / "somebody's").open("wb", buffering=0) as file:
        for size in (64 * 1024, 1024, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert shutil.disk_usage(small.directory).free == 0
    # Retention gives way for the floor, but the last segments go on being served while they are there.
    clip = await store.fetch(times[45], times[60])
    assert check_clip(read_clip(clip.data), times, times[45], times[60]).flawless


async def test_a_read_only_disk_is_read_and_the_recording_resumes_when_it_can_be_written(small: Stores) -> None:
    times = capture_times(4)
    await record(small.storage, times)
    await take_over(small.storage)
    await record(small.storage, capture_times(1, times[-1] + 60 * US))  # never closed
    await mount("-o", "remount,ro", small.directory)
    pulse = Pulse()
    store = await small.open(pulse)
    await until(lambda: store.health().segments == 2)
    clip = await store.fetch(times[3], times[30])
    assert check_clip(read_clip(clip.data), times, times[3], times[30]).flawless
    assert store.health().index_trouble
    await until(lambda: "ead-only" in store.health().recorder.reason)  # type: ignore[union-attr]
    await mount("-o", "remount,rw", small.directory)
    await until(lambda: recording_now(store), 35)
    await flawless_now(store, pulse)
    await until(lambda: store.health().index_trouble is None)


async def test_a_floor_as_large_as_the_device_is_refused(small: Stores) -> None:
    with pytest.raises(ConfigError, match=r"storage.min_free_gb is 1, but must be less than .*, 0.01 GiB"):
        await small.open(min_free_gb=1)


async def test_a_storage_directory_that_is_removed_while_recording_is_made_anew(stores: Stores) -> None:
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=30)
    await until(lambda: len(pulse.delivered) > 10)
    shutil.rmtree(stores.storage)
    await until(lambda: stores.storage.exists() and recording_now(store) and list(stores.storage.glob("*.open")))
    await flawless_now(store, pulse)
    assert (stores.storage / "index.sqlite.db").exists()
    second = Stores(stores.directory)
    with pytest.raises(Exception, match="used by another recorder"):
        await second.open()


async def test_a_storage_directory_that_is_replaced_by_a_copy_goes_on_with_what_it_holds(
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


async def test_a_disk_that_is_gone_is_waited_for_and_nothing_is_written_in_its_place(small: Stores) -> None:
    """Else the recording would fill the disk below the mount point, and be hidden once the other is back."""
    pulse = Pulse()
    store = await small.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 1)
    process = await asyncio.create_subprocess_exec("umount", "-l", small.directory)
    assert await process.wait() == 0
    await until(lambda: "is gone" in (store.health().storage_trouble or ""))
    await until(lambda: not store.health().recorder.recording)  # type: ignore[union-attr]
    assert list(small.directory.iterdir()) == []
    await mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", small.directory)
    small.storage.mkdir()
    await until(lambda: recording_now(store), 35)
    await flawless_now(store, pulse)


class ErringDisk:
    """A disk that answers with an input/output error for open segments, where a test cannot have a broken one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *functions: str) -> None:
        self.errs = False
        for name in functions:
            monkeypatch.setattr(os, name, functools.partial(self._call, getattr(os, name)))

    def _call(self, function: Callable[..., Any], path: Any, *arguments: Any, **options: Any) -> Any:
        if self.errs and str(path).endswith(".open"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(path, *arguments, **options)


async def test_a_disk_that_errs_for_a_while_ends_neither_the_recording_nor_its_upkeep(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, clock = Feed(), FixedClock()
    disk = ErringDisk(monkeypatch, "stat")
    store = await stores.open(feed, clock=clock)
    times = capture_times(3)
    feed.put(*map(packet, times))
    await until(lambda: store.health().recorder.last_frame_age_s is not None)  # type: ignore[union-attr]
    disk.errs = True
    feed.put(Gap("the camera is silent"))
    await asyncio.sleep(2.5)  # a tick of upkeep
    assert store.health().recorder is not None  # asking for it does no harm
    disk.errs = False
    later = capture_times(3, times[-1] + 20 * US)
    feed.put(*map(packet, later), Gap("the end"))
    await until(lambda: store.health().stored_seconds > 5 and not list(stores.storage.glob("*.open")))
    for some in (times, later):
        clip = await store.fetch(some[0], some[-1] + 1)
        assert check_clip(read_clip(clip.data), some, some[0], some[-1] + 1).flawless


async def test_a_segment_that_cannot_be_closed_just_now_is_in_clips_and_is_closed_later(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed()
    disk = ErringDisk(monkeypatch, "link", "rename")
    store = await stores.open(feed, segment_seconds=30)
    times = capture_times(3)
    disk.errs = True
    feed.put(*map(packet, times), Gap("the camera is silent"))
    await until(lambda: store._archive.unclosed)
    clip = await store.fetch(times[0], times[-1] + 1)
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless
    disk.errs = False
    await until(lambda: store.health().segments == 1)
    assert not store._archive.unclosed and not list(stores.storage.glob("*.open"))


async def test_files_and_directories_of_others_are_never_touched_nor_counted(stores: Stores, recording: Path) -> None:
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
