"""What an index has, compared with the files; and whether a fault of it has cost anything."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import Pulse, Stores, until
from videostore.base.clock import SystemClock
from videostore.media.fmp4 import read_fragments
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore


def delete(path: Path) -> None:
    """Delete the index, with its log and all."""
    for one in sorted(path.parent.glob(FILE_NAME + "*")):
        one.unlink()


def rows(directory: Path) -> list[tuple[str, int]]:
    """Name and start of every segment, as another program reads them from the index."""
    connection = sqlite3.connect(f"file:{directory / FILE_NAME}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT file_name, start_us FROM files WHERE deleted_at IS NULL ORDER BY start_us")
        return list(found)
    finally:
        connection.close()


def true_starts(directory: Path) -> list[tuple[str, int]]:
    """Name and start of every segment, as the files say."""
    return [(path.name, read_fragments(path).start_us) for path in sorted(directory.glob("*.mp4"))]


async def another_segment(directory: Path) -> None:
    """Wait until one more segment is closed, according to the directory."""
    count = len(list(directory.glob("*.mp4")))
    await until(lambda: len(list(directory.glob("*.mp4"))) > count)


async def check_all_recorded(store: VideoStore, pulse: Pulse) -> None:
    """Check that every frame so far can be fetched, and that ffmpeg was never restarted."""
    from_us, to_us = pulse.delivered[0], pulse.delivered[-1]
    while (await store.state()).ranges[-1].to_us < to_us:  # noqa: ASYNC110 (files tell it)
        await asyncio.sleep(0.05)
    clip = await store.fetch(from_us, to_us)
    check = check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us)
    assert check.flawless and check.drift_ms < 5 and clip.ranges is None, check
    recorder = store.health().recorder
    assert recorder is not None and recorder.recording
    assert (recorder.ffmpeg_restarts, recorder.dropped_frames) == (0, 0)


async def wait_until_recovered(stores: Stores, store: VideoStore) -> None:
    """Wait until the index is a file again and has every segment with its exact start."""

    def same() -> bool:
        if store.health().index_trouble or not (stores.storage / FILE_NAME).is_file():
            return False
        try:
            return rows(stores.storage) == true_starts(stores.storage)
        except sqlite3.Error:
            return False

    await until(same)


async def check_after_restart(stores: Stores, pulse: Pulse) -> None:
    """Close the store, and check that the next one finds everything."""
    await pulse.stop()
    await stores.close()
    store = await stores.open(clock=SystemClock())
    await until(store._archive.reconciled.is_set)
    await wait_until_recovered(stores, store)
    from_us, to_us = pulse.delivered[0], pulse.delivered[-1] + 1
    clip = await store.fetch(from_us, to_us)
    assert check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us).flawless and clip.ranges is None
    assert store.health().segments == len(true_starts(stores.storage))
    assert (await store.state()).used_bytes == sum(path.stat().st_size for path in stores.storage.glob("*.mp4"))
    await stores.close()
    connection = sqlite3.connect(stores.storage / FILE_NAME)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
