"""Invariant 6: after a fault of the camera, ffmpeg, the disk or the index the module says so and resumes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some
from tests.support.disturbances import FaultyPulse, kill_recording
from tests.support.recording import US, Pulse, Stores, until
from videostore.base.errors import VideoStoreError
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore

_HANG_S = 60.0


async def resumes(store: VideoStore, pulse: Pulse) -> None:
    """Wait for a second of new recording that can be fetched completely."""
    deadline = time.monotonic() + _HANG_S
    count = len(pulse.delivered)
    while True:
        assert time.monotonic() < deadline, store.health()
        await asyncio.sleep(0.05)
        fresh = pulse.delivered[count:]
        ends = [n for n, t in enumerate(fresh) if t >= fresh[0] + US]
        if not ends:
            continue
        with contextlib.suppress(VideoStoreError):
            clip = await store.fetch(fresh[0], fresh[ends[0]])
            if [frame.captured_us for _, frame in read_clip(clip.data) if frame] == fresh[: ends[0]]:
                return
        if fresh[-1] > fresh[0] + 3 * US:
            count += len(fresh) // 2  # it was not recording yet by then


@some("seed", range(3), 1)
async def test_after_faults_in_any_order_a_warning_is_logged_and_recording_resumes(
    small_disk: Path, seed: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.storage.maintenance.INDEX_RETRY_S", 1.0)  # instead of 10 s
    caplog.set_level(logging.WARNING)
    stores = Stores(small_disk)
    pulse = FaultyPulse()

    async def camera_fails() -> None:
        pulse.faults.append(RuntimeError("the camera is on fire"))
        await until(lambda: "on fire" in caplog.text)

    async def ffmpeg_is_killed() -> None:
        restarts = store.health().recorder.ffmpeg_restarts  # type: ignore[union-attr]
        kill_recording()
        await until(lambda: store.health().recorder.ffmpeg_restarts > restarts)  # type: ignore[union-attr]

    async def disk_fills_up() -> None:
        restarts = store.health().recorder.ffmpeg_restarts  # type: ignore[union-attr]
        with (small_disk / "filler").open("wb", buffering=0) as file:
            deadline = time.monotonic() + _HANG_S
            while store.health().recorder.ffmpeg_restarts == restarts:  # type: ignore[union-attr]
                assert time.monotonic() < deadline
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(64 * 1024))
                await asyncio.sleep(0.05)
        (small_disk / "filler").unlink()

    async def directory_is_removed() -> None:
        shutil.rmtree(stores.storage)
        await until(lambda: "was removed or replaced" in caplog.text)

    async def index_is_deleted() -> None:
        for path in stores.storage.glob(FILE_NAME + "*"):
            path.unlink(missing_ok=True)
        await until(lambda: (stores.storage / FILE_NAME).exists())

    async def index_is_garbled() -> None:
        (stores.storage / FILE_NAME).write_bytes(b"garbage" * 1000)
        for path in stores.storage.glob(FILE_NAME + "-*"):
            path.unlink(missing_ok=True)
        await until(lambda: (stores.storage / FILE_NAME).read_bytes()[:6] == b"SQLite")

    faults: list[Callable[[], Awaitable[None]]] = [
        camera_fails,
        ffmpeg_is_killed,
        disk_fills_up,
        directory_is_removed,
        index_is_deleted,
        index_is_garbled,
    ]
    random.Random(0).shuffle(faults)
    try:
        store = await stores.open(pulse, segment_seconds=1)
        await until(lambda: store.health().segments > 0)
        for fault in (faults[2 * seed], faults[2 * seed + 1]):
            caplog.clear()
            await fault()
            await resumes(store, pulse)
            assert any(entry.levelno >= logging.WARNING for entry in caplog.records), fault.__name__
        await until(lambda: store.health().index_trouble is None and store.health().storage_trouble is None)
    finally:
        await stores.close()
