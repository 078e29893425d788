"""Invariant 2: a closed segment is never changed and never overwritten."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from scripts.fakes.painted_camera import read_clip
from tests.support.clocked_recording import StartClocked
from tests.support.disturbances import FaultyPulse, fetch_something, kill_recording, lose_index, rename_one
from tests.support.recording import SMALL, START_US, US, Stores, capture_times, record, until, write_foreign
from tests.support.watching import ClosedSegments, closed_segments, watching
from videostore.media.fmp4 import read_fragments
from videostore.media.packet import Gap


async def test_no_closed_segment_changes_over_kills_restarts_and_taken_names(stores: Stores, tmp_path: Path) -> None:
    """ffmpeg is killed, stores start over segments that were left open, and the next names exist already."""
    dice = random.Random(2)
    seen = ClosedSegments(stores.storage)
    stores.storage.mkdir()
    go = tmp_path / "go.mp4"
    await write_foreign(go, seconds=1)
    async with watching(seen.look):
        for round_ in range(5):
            for ahead_s in range(1, 4):  # names that the next segments would have
                with contextlib.suppress(FileExistsError):
                    shutil.copy(go, tmp_path / "next")
                    os.link(tmp_path / "next", stores.storage / f"{time.time_ns() // 10**9 + ahead_s}.mp4")
                    (tmp_path / "next").unlink()
            await record(stores.storage, capture_times(2.5, START_US + round_ * US, seed=round_), size=SMALL)
            left = max(stores.storage.glob("*-000001.open"), key=lambda path: path.stat().st_mtime_ns)
            os.truncate(left, left.stat().st_size * 2 // 3)
            pulse = FaultyPulse(0.05)
            store = await stores.open(pulse, segment_seconds=1)
            disturbances: list[Callable[[], object]] = [
                kill_recording,
                functools.partial(pulse.faults.append, Gap("the test pauses it")),
                lambda: rename_one(stores.storage, dice),
                lambda: lose_index(stores.storage, dice),
            ]
            for disturb in dice.sample(disturbances, 2):
                count = len(pulse.delivered)
                await until(lambda pulse=pulse, count=count: len(pulse.delivered) > count + 12)  # type: ignore[misc]
                disturb()
                await fetch_something(store, dice)
            await stores.close()
    assert seen.compare() > 10
    ours = [path for path in closed_segments(stores.storage) if path.read_bytes() != go.read_bytes()]
    for path in ours:
        assert read_fragments(path).times_us == [frame.captured_us for _, frame in read_clip(path) if frame]


async def test_nothing_is_overwritten_when_the_clock_is_set_back(start_clocked: StartClocked) -> None:
    clocked = await start_clocked()
    seen = ClosedSegments(clocked.stores.storage)
    async with watching(seen.look):
        for _ in range(4):  # each time over the same seconds
            await clocked.record(4)
            clocked.step(-4.1)
        await clocked.pause()
        await clocked.stores.close()
    assert seen.compare() == len(closed_segments(clocked.stores.storage)) >= 8
    stored = [t for path in closed_segments(clocked.stores.storage) for t in read_fragments(path).times_us]
    assert sorted(stored) == sorted(t for run in clocked.runs for t in run)
