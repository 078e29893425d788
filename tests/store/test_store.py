from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import (
    START_US,
    US,
    Feed,
    FixedClock,
    Stores,
    capture_times,
    packet,
    record,
    until,
    write_foreign,
)
from videostore.base.errors import NothingStoredError, VideoStoreError
from videostore.base.ranges import Range
from videostore.clips.workspace import WORK_DIRECTORY
from videostore.media.fmp4 import read_fragments
from videostore.media.packet import Gap
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore


async def feed_and_settle(store: VideoStore, feed: Feed, times: list[int]) -> None:
    """Record frames; return when all of them are in ffmpeg's hands."""
    feed.put(*map(packet, times))
    await until(lambda: store._run is not None and store._run.last_us == times[-1])


async def wait_for_cover(store: VideoStore, time_us: int) -> None:
    """Wait until what is stored reaches a moment, the open segment included."""
    while not (ranges := (await store.state()).ranges) or ranges[-1].to_us < time_us:  # noqa: ASYNC110 (files tell it)
        await asyncio.sleep(0.02)


# Recording


async def test_closed_segments_get_their_names_and_rows_while_the_recording_goes_on(stores: Stores) -> None:
    feed, times = Feed(), capture_times(7)
    store = await stores.open(feed)
    await feed_and_settle(store, feed, times)
    await until(lambda: store.health().segments >= 3)
    closed = sorted(path.name for path in stores.storage.glob("*.mp4"))
    assert len(closed) == 3 and closed[0] == f"{START_US // US}.mp4"
    assert len(list(stores.storage.glob("*.open"))) == 1
    health = store.health()
    assert health.recorder is not None and health.recorder.recording
    assert health.stored_bytes >= sum((stores.storage / name).stat().st_size for name in closed)


async def test_closing_finishes_the_open_segment_and_leaves_no_process_behind(stores: Stores) -> None:
    feed, times = Feed(), capture_times(5)
    store = await stores.open(feed)
    await feed_and_settle(store, feed, times)
    begin = time.monotonic()
    await store.close()
    assert time.monotonic() - begin < 2
    assert psutil.Process().children() == []
    assert not list(stores.storage.glob("*.open"))
    paths = sorted(stores.storage.glob("*.mp4"))
    assert [t for path in paths for t in read_fragments(path).times_us] == times
    await store.close()  # once more does no harm

    again = await stores.open()
    await until(lambda: again.health().segments == len(paths))


async def test_a_clip_takes_in_what_the_open_segment_holds(stores: Stores) -> None:
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


async def test_the_state_names_gaps_and_takes_in_the_open_segment(stores: Stores) -> None:
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


async def test_the_quota_is_kept_while_recording(stores: Stores) -> None:
    feed, times = Feed(), capture_times(16)
    quota = 120_000
    store = await stores.open(feed, size_gb=quota / 2**30)
    await feed_and_settle(store, feed, times)
    await store.close()
    paths = sorted(stores.storage.glob("*.mp4"))
    sizes = [path.stat().st_size for path in paths]
    assert paths
    assert sum(sizes) <= quota + max(sizes)  # what closed last may stay until the next start
    assert read_fragments(paths[-1]).times_us[-1] == times[-1]
    assert read_fragments(paths[0]).start_us > START_US


async def test_a_lowered_quota_deletes_the_oldest_at_the_start(stores: Stores, recording: Path) -> None:
    shutil.copytree(recording, stores.storage)
    paths = sorted(stores.storage.glob("*.mp4"))
    keep = paths[2:]
    await stores.open(size_gb=sum(path.stat().st_size for path in keep) / 2**30)
    await until(lambda: not paths[1].exists())
    assert sorted(stores.storage.glob("*.mp4")) == keep


# Starting


async def test_what_a_killed_process_left_behind_is_taken_over_and_swept(stores: Stores, times: list[int]) -> None:
    await record(stores.storage, times)
    (last,) = stores.storage.glob("*-000003.open")
    os.truncate(last, read_fragments(last).size_bytes + 10)
    (stores.storage / WORK_DIRECTORY / "x").mkdir(parents=True)
    (stores.upload / "tag=a").mkdir(parents=True)
    (stores.upload / "tag=a" / "cam_2024-08-30_10-00-00.mp4.0123abcd.prog").write_bytes(b"half")
    store = await stores.open()
    await until(lambda: store.health().segments == 4)
    clip = await store.fetch(times[0], times[-1] + 1)
    found = check_clip(read_clip(clip.data), times, times[0], times[-1] + 1)
    assert found.flawless
    assert not list(stores.upload.rglob("*.prog"))
    assert not (stores.storage / WORK_DIRECTORY / "x").exists()


async def test_a_damaged_index_is_rebuilt_at_the_start(stores: Stores, recording: Path, times: list[int]) -> None:
    shutil.copytree(recording, stores.storage)
    for path in stores.storage.glob(FILE_NAME + "*"):
        path.unlink()
    (stores.storage / FILE_NAME).write_bytes(b"garbage" * 1000)
    store = await stores.open()
    await until(lambda: store.health().segments == 4)
    assert check_clip(read_clip((await store.fetch(times[0], times[-1])).data), times, times[0], times[-1]).flawless


async def test_a_storage_path_that_cannot_be_used_is_an_error_that_names_it(stores: Stores) -> None:
    stores.storage.write_bytes(b"a file")
    with pytest.raises(VideoStoreError, match=str(stores.storage)):
        await stores.open()


async def test_files_that_come_and_go_are_noticed(stores: Stores, recording: Path) -> None:
    store = await stores.open()
    await asyncio.sleep(0.1)
    path = stores.storage / "1725634833.mp4"
    await write_foreign(path)
    await until(lambda: store.health().segments == 1)
    path.unlink()
    await until(lambda: store.health().segments == 0)


# Saving


async def test_two_saves_of_the_same_range_at_the_same_time_both_complete(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    saved = await asyncio.gather(*(store.save(times[3], times[40], metadata="x") for _ in range(4)))
    names = [clip.file_name for clip in saved]
    assert len(set(names)) == 4
    stem = min(names, key=len).removesuffix(".mp4")
    assert sorted(names) == sorted([f"{stem}.mp4", *(f"{stem}-{n}.mp4" for n in (2, 3, 4))])
    for clip in saved:
        assert check_clip(read_clip(clip.path), times, times[3], times[40]).flawless
    assert sorted(path.name for path in stores.upload.iterdir()) == sorted(names)


async def test_while_a_clip_is_written_its_name_ends_in_prog(stores: Stores, recording: Path, times: list[int]) -> None:
    """Whatever stands in the upload path under another name at any moment, is complete."""
    store = await stores.over(recording)
    seen: set[str] = set()
    saving = asyncio.create_task(store.save(times[3], times[60]))
    while not saving.done():
        for path in stores.upload.iterdir():
            seen.add(path.suffix)
            if path.suffix != ".prog":
                assert len(read_clip(path)) == 57
        await asyncio.sleep(0)
    clip = await saving
    assert ".prog" in seen
    assert [path.name for path in stores.upload.iterdir()] == [clip.file_name]


async def test_a_save_that_fails_leaves_nothing(stores: Stores, recording: Path, times: list[int]) -> None:
    store = await stores.over(recording, binary="/nowhere/ffmpeg")
    with pytest.raises(VideoStoreError, match="could not be made"):
        await store.save(times[3], times[9], tags=["a"])
    with pytest.raises(NothingStoredError):
        await store.save(times[0] - 9 * US, times[0] - 8 * US)
    assert not [path for path in stores.upload.rglob("*") if path.is_file()]


async def test_an_upload_path_that_cannot_be_written_is_told_in_a_sentence(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    (stores.upload / "tag=a").write_bytes(b"a file in the way")
    with pytest.raises(VideoStoreError, match="cannot be written to the upload path"):
        await store.save(times[3], times[9], tags=["a"])


async def test_an_asynchronous_save_waits_until_the_recording_covers_its_end(stores: Stores) -> None:
    feed = Feed()
    store = await stores.open(feed, segment_seconds=30)
    times = capture_times(6)
    to_us = START_US + 2_600_000
    await feed_and_settle(store, feed, [t for t in times if t < to_us])
    clip = await store.save(times[2], to_us, wait=False)
    assert store.health().pending_saves == 1
    await asyncio.sleep(0.5)
    assert not list(stores.upload.iterdir())
    await feed_and_settle(store, feed, [t for t in times if t >= to_us])
    await until(clip.path.exists)
    await until(lambda: store.health().pending_saves == 0)
    assert check_clip(read_clip(clip.path), times, times[2], to_us).flawless
    assert not list(stores.storage.glob("*.mp4"))  # the segment goes on


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
    assert not list(stores.upload.iterdir())


async def test_a_save_under_way_at_the_end_is_finished_or_leaves_nothing(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    clip = await store.save(times[3], times[60], wait=False)
    await store.close()
    assert [path.name for path in stores.upload.iterdir()] in ([], [clip.file_name])
    assert psutil.Process().children() == []


async def test_what_a_cut_needs_is_not_deleted_by_the_quota_meanwhile(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    async with store._clips.plan(times[3], times[9]) as plan:
        retention = store._maintainer._retention
        retention._quota_bytes = 1
        await retention.enforce()
        assert (stores.storage / plan.parts[0].segment.file_name).exists()
    await retention.enforce()
    assert not list(stores.storage.glob("*.mp4"))
    assert (await store.state()).ranges == ()


async def test_a_to_a_little_ahead_counts_as_now(stores: Stores, recording: Path, times: list[int]) -> None:
    shutil.copytree(recording, stores.storage)
    store = await stores.open(clock=FixedClock(wall=times[-1]))
    await until(lambda: store.health().segments == 4)
    now_us = (await store.state()).ranges[-1].to_us  # the last frame is shown for a moment
    clip = await store.fetch(times[20], now_us + 4 * US)
    assert check_clip(read_clip(clip.data), times, times[20], now_us).flawless
    assert clip.ranges is None
    with pytest.raises(VideoStoreError, match="future"):
        await store.fetch(times[20], now_us + 5 * US + 1)


async def test_the_ranges_of_a_clip_are_those_that_are_stored(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    clip = await store.save(times[0] - 10 * US, times[9])
    assert clip.ranges == (Range(times[0], times[9]),)
