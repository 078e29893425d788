"""Invariant 5: stored bytes never exceed the quota by more than one segment, and the device never fills up."""

from __future__ import annotations

import asyncio
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.disturbances import FaultyPulse, fetch_something, kill_recording
from tests.support.recording import US, Pulse, Stores, until
from tests.support.watching import closed_segments, files_in, watching
from videostore.base.errors import NoRoomError, NothingStoredError
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore

MIB = 1 << 20
_HANG_S = 60.0


@dataclass
class LargestSizes:
    """The most bytes that were stored at any moment, and the size of the largest segment."""

    storage: Path
    most_bytes: int = 0
    largest_bytes: int = 0
    least_free_bytes: int = 1 << 60
    index_bytes: int = 0

    def look(self) -> None:
        # A file that is being closed has two names for a moment.
        by_inode = {status.st_ino: status.st_size for status in files_in(self.storage, "*.mp4", "*.open").values()}
        self.most_bytes = max(self.most_bytes, sum(by_inode.values()))
        self.largest_bytes = max(self.largest_bytes, *by_inode.values(), 0)
        self.least_free_bytes = min(self.least_free_bytes, shutil.disk_usage(self.storage).free)
        self.index_bytes = sum(status.st_size for status in files_in(self.storage, FILE_NAME + "*").values())


async def test_stored_bytes_exceed_the_quota_by_one_segment_at_most(stores: Stores) -> None:
    quota_bytes = 250_000
    dice = random.Random(5)
    pulse = FaultyPulse(0.04, (320, 180))
    stores.storage.mkdir()
    sizes = LargestSizes(stores.storage)

    async def record_until_the_quota_is_reached(store: VideoStore, fetches: bool) -> None:
        count = len(pulse.delivered) + 70
        while len(pulse.delivered) < count or sizes.most_bytes + sizes.largest_bytes <= quota_bytes:
            if fetches:
                await fetch_something(store, dice)
            await asyncio.sleep(dice.uniform(0.1, 0.5))

    for fetches in (False, True):
        async with watching(sizes.look):
            store = await stores.open(pulse, segment_seconds=1, size_gb=quota_bytes / 2**30)
            await asyncio.wait_for(record_until_the_quota_is_reached(store, fetches), _HANG_S)
            kill_recording()
            await until(lambda store=store: store._run is None)  # type: ignore[misc]
            await stores.close()
        # What clips hold leaves room for the newest tenth of the quota, in whole segments.
        newest_bytes = max(sizes.largest_bytes, quota_bytes // 10) if fetches else 0
        assert sizes.most_bytes <= quota_bytes + sizes.largest_bytes + newest_bytes
    store = await stores.open(size_gb=quota_bytes / 2**30)
    await until(lambda: store.health().stored_bytes <= quota_bytes)
    assert store.health().segments > 0


async def test_the_device_keeps_free_space_while_recording_and_saving(small_disk: Path) -> None:
    """The quota is far larger than the device. First it only records, then it also saves clips."""
    floor_bytes = 6 * MIB  # as far from full, in seconds of recording, as a card of some GB
    stores = Stores(small_disk)
    pulse = Pulse(0.2, (640, 360))  # so few that the free space lasts for as long as a busy machine takes for a clip
    try:
        store = await stores.open(pulse, size_gb=100, segment_seconds=1, min_free_gb=floor_bytes / 2**30)
        await until(lambda: store.health().segments >= 3)
        room_bytes = shutil.disk_usage(small_disk).free - floor_bytes
        (small_disk / "foreign").write_bytes(bytes(room_bytes - 600_000))
        sizes = LargestSizes(stores.storage)
        async with watching(sizes.look):
            first = closed_segments(stores.storage)[0]
            await until(lambda: not first.exists() and store.health().segments > 3)
            await asyncio.sleep(3)
        assert sizes.least_free_bytes > floor_bytes - sizes.largest_bytes - sizes.index_bytes
        refused = 0
        async with watching(sizes.look):
            for _ in range(12):
                to_us = pulse.delivered[-1]
                try:
                    await store.save(to_us - 3 * US, to_us)
                except NoRoomError:
                    refused += 1
                except NothingStoredError:
                    pass
                await asyncio.sleep(0.2)
                uploaded = sorted(stores.upload.glob("*.mp4"), key=lambda path: path.stat().st_mtime_ns)[:-4]
                for path in uploaded:
                    path.unlink()
        assert sizes.least_free_bytes > 0
        recorder = store.health().recorder
        assert recorder is not None and (recorder.ffmpeg_restarts, recorder.dropped_frames) == (0, 0)
        assert recorder.recording and refused < 12
    finally:
        await stores.close()
