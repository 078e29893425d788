from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from tests.support.clocked_recording import StartClocked
from tests.support.recording import START_US, US, Stores, capture_times, record, take_over, until
from videostore.base.constants import GIB, STOPPED
from videostore.media.packet import Gap
from videostore.storage.gap_notes import NOT_RUNNING
from videostore.storage.notes import RecordingGap
from videostore.store.store import VideoStore


async def until_noted(reader: VideoStore, count: int) -> tuple[RecordingGap, ...]:
    """The gaps that a reader finds, once the recorder has written so many of them."""
    deadline = time.monotonic() + 60
    while len(gaps := (await reader.state()).gaps) < count:
        assert time.monotonic() < deadline, gaps
        await asyncio.sleep(0.02)
    return gaps


async def test_a_gap_has_the_reason_of_the_source_and_its_exact_ends(start_clocked: StartClocked) -> None:
    clocked = await start_clocked()
    first = await clocked.record(2)
    clocked.feed.put(Gap("the camera sent nothing"))
    await until(lambda: clocked.store._run is None)
    clocked.clock.advance(60)
    second = await clocked.record(2)
    await until(lambda: clocked.store._notes.gaps)
    (gap,) = (await clocked.store.state()).gaps
    assert first[-1] < gap.from_us < first[-1] + US
    assert (gap.to_us, gap.reason) == (second[0], "the camera sent nothing")
    async with VideoStore.open(clocked.stores.storage) as reader:
        assert await until_noted(reader, 1) == (gap,)
        clocked.feed.put(Gap("the camera is off"))
        await until(lambda: clocked.store._run is None)
        clocked.clock.advance(60)
        await clocked.record(1)
        await until(lambda: len(clocked.store._notes.gaps) == 2)
        gaps = await until_noted(reader, 2)
        assert [one.reason for one in gaps] == [gap.reason, "the camera is off"]


async def test_a_change_of_the_run_without_a_gap_is_none(start_clocked: StartClocked) -> None:
    clocked = await start_clocked()
    await clocked.record(2)
    clocked.feed.put(Gap("for a moment"))
    await until(lambda: clocked.store._run is None)
    await clocked.record(2)
    await clocked.pause()
    assert (await clocked.store.state()).gaps == ()


async def test_over_a_restart_the_recorder_was_not_running(start_clocked: StartClocked, tmp_path: Path) -> None:
    earlier = capture_times(2, START_US - 3600 * US)
    await record(tmp_path / "storage", earlier)
    await take_over(tmp_path / "storage")
    clocked = await start_clocked()
    first = await clocked.record(1)
    await until(lambda: clocked.store._notes.gaps)
    (gap,) = clocked.store._notes.gaps
    assert earlier[-1] < gap.from_us < earlier[-1] + US
    assert (gap.to_us, gap.reason) == (first[0], NOT_RUNNING)


async def test_a_gap_keeps_its_reason_where_the_recorder_stops_within_it(start_clocked: StartClocked) -> None:
    clocked = await start_clocked()
    first = await clocked.record(2)
    clocked.feed.put(Gap("its timestamps jumped"))
    await until(lambda: clocked.store._run is None)
    clocked.clock.advance(10)
    stopped_us = clocked.clock.wall
    await clocked.stores.close()
    clocked.clock.advance(60)
    clocked = await start_clocked(clocked.clock.wall)
    clocked.feed.put(Gap("it refuses the connection"))
    clocked.clock.advance(100)
    second = await clocked.record(2)
    await until(lambda: len(clocked.store._notes.gaps) == 2)
    before, after = clocked.store._notes.gaps
    assert first[-1] < before.from_us < first[-1] + US
    assert (before.to_us, before.reason) == (stopped_us, "its timestamps jumped")
    assert (after.from_us, after.to_us, after.reason) == (stopped_us, second[0], "it refuses the connection")


@pytest.mark.parametrize(("silent_s", "reasons"), [(1, [NOT_RUNNING]), (10, [STOPPED, NOT_RUNNING])])
async def test_what_a_recorder_needs_to_end_is_no_gap_of_its_own(
    start_clocked: StartClocked, silent_s: int, reasons: list[str]
) -> None:
    clocked = await start_clocked()
    first = await clocked.record(2)
    clocked.feed.put(Gap(STOPPED))
    await until(lambda: clocked.store._run is None)
    clocked.clock.advance(silent_s)
    await clocked.stores.close()
    clocked.clock.advance(60)
    clocked = await start_clocked(clocked.clock.wall)
    second = await clocked.record(2)
    await until(lambda: len(clocked.store._notes.gaps) == len(reasons))
    gaps = clocked.store._notes.gaps
    assert [one.reason for one in gaps] == reasons
    assert first[-1] < gaps[0].from_us < first[-1] + US and gaps[-1].to_us == second[0]


async def test_gaps_and_events_are_forgotten_with_their_footage(tmp_path: Path) -> None:
    stores = Stores(tmp_path)
    starts_us = [START_US, START_US + 100 * US, START_US + 200 * US]
    for start_us in starts_us:
        await record(stores.storage, capture_times(2, start_us))
    segments = await take_over(stores.storage)
    quota_gb = sum(one.size_bytes for one in segments[1:]) / GIB
    store = await stores.open(size_gb=1)
    await until(lambda: store.health().segments == len(segments))
    for before_us, after_us in itertools.pairwise(starts_us):
        await store._notes.add_gap(RecordingGap(before_us + 2 * US, after_us, "off"))
    await stores.close()
    store = await stores.open(size_gb=quota_gb)
    try:
        await until(lambda: store.health().segments == len(segments) - 1 and len(store._notes.gaps) == 1)
        assert store._notes.gaps[0].from_us == starts_us[1] + 2 * US
    finally:
        await stores.close()
