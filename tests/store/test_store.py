from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.feeding import feed_and_settle, wait_for_cover
from tests.support.recording import (
    START_US,
    US,
    Feed,
    FixedClock,
    Stores,
    capture_times,
    until,
)
from videostore.base.errors import VideoStoreError
from videostore.base.ranges import Range
from videostore.media.packet import Gap

# The open segment


async def test_a_clip_includes_what_the_open_segment_holds(stores: Stores) -> None:
    feed, times = Feed(), capture_times(7)
    store = await stores.open(feed, segment_seconds=4)
    await feed_and_settle(store, feed, times)
    keyframe = min(t for t in times if t >= START_US + 6 * US)
    await wait_for_cover(store, keyframe)
    for from_us, to_us in [(times[3], keyframe), (START_US + 4_500_000, START_US + 5_500_000)]:
        for container in ("mp4", "fmp4"):
            clip = await store.fetch(from_us, to_us, container=container)
            found = check_clip(read_clip(clip.data), times, from_us, to_us)
            assert found.flawless and found.drift_ms < 1, found
            assert clip.ranges is None
    clip = await store.fetch(times[3], START_US + 60 * US)
    assert clip.ranges is not None and clip.ranges[-1].to_us >= keyframe


async def test_the_state_shows_gaps_and_includes_the_open_segment(stores: Stores) -> None:
    feed = Feed()
    store = await stores.open(feed)
    before, after = capture_times(3), capture_times(3.5, START_US + 20 * US)
    await feed_and_settle(store, feed, before)
    feed.put(Gap("the camera hangs"))
    await until(lambda: store._run is None)
    await feed_and_settle(store, feed, after)
    await wait_for_cover(store, after[0] + 2 * US)
    first, second = (await store.state()).ranges
    assert first.from_us == before[0] and before[-1] < first.to_us < before[-1] + US
    assert second.from_us == after[0]


# Starting


# Saving


async def test_an_asynchronous_save_waits_until_the_recording_reaches_its_end(stores: Stores) -> None:
    feed = Feed()
    store = await stores.open(feed, segment_seconds=30)
    times = capture_times(6)
    to_us = START_US + 2_600_000
    await feed_and_settle(store, feed, [t for t in times if t < to_us])
    clip = await store.save(times[2], to_us, wait=False)
    assert store.health().pending_saves == 1
    await asyncio.sleep(0.5)
    assert not [path for path in stores.upload.iterdir() if path.suffix != ".prog"]
    await feed_and_settle(store, feed, [t for t in times if t >= to_us])
    await until(clip.path.exists)
    await until(lambda: store.health().pending_saves == 0)
    assert check_clip(read_clip(clip.path), times, times[2], to_us).flawless
    assert not list(stores.storage.glob("*.mp4"))  # the segment is still open


async def test_an_asynchronous_save_does_not_wait_for_a_camera_that_is_gone(stores: Stores) -> None:
    feed, times = Feed(), capture_times(2.5)
    store = await stores.open(feed, segment_seconds=30)
    await feed_and_settle(store, feed, times)
    clip = await store.save(times[2], START_US + 60 * US, wait=False)
    feed.put(Gap("the camera hangs"))
    await until(clip.path.exists)
    assert check_clip(read_clip(clip.path), times, times[2], START_US + 60 * US).flawless


async def test_an_asynchronous_save_that_fails_is_logged(
    stores: Stores, recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await stores.over(recording)
    clip = await store.save(START_US - 60 * US, START_US - 50 * US, wait=False)
    await until(lambda: any(clip.file_name in r.getMessage() and "range" in r.getMessage() for r in caplog.records))
    await until(lambda: store.health().pending_saves == 0)
    assert not [path for path in stores.upload.iterdir() if path.suffix != ".prog"]


async def test_a_save_in_progress_when_the_store_closes_is_finished_or_leaves_nothing(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    clip = await store.save(times[3], times[60], wait=False)
    await store.close()
    reserved = f"{clip.file_name}.reserved.prog"  # if the next start is to finish it
    assert [path.name for path in stores.upload.iterdir()] in ([], [clip.file_name], [reserved])
    assert psutil.Process().children() == []


async def test_an_end_slightly_ahead_of_the_clock_is_now(stores: Stores, recording: Path, times: list[int]) -> None:
    shutil.copytree(recording, stores.storage)
    store = await stores.open(clock=FixedClock(wall=times[-1]))
    await until(lambda: store.health().segments == 4)
    now_us = (await store.state()).ranges[-1].to_us  # the last frame is shown for a moment
    clip = await store.fetch(times[20], now_us + 4 * US)
    assert check_clip(read_clip(clip.data), times, times[20], now_us).flawless
    assert clip.ranges is None
    further = await store.fetch(times[20], now_us + 5 * US + 1)  # it says that this is not all
    assert further.ranges == (Range(times[20], now_us),)
    assert [shown for _, shown in read_clip(further.data)] == [shown for _, shown in read_clip(clip.data)]
    with pytest.raises(VideoStoreError, match="future"):
        await store.save(times[20], now_us + 5 * US + 1)
