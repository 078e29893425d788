"""A run has no gaps, whatever the rhythm of its camera: the last frame of a segment lasts until the next segment."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.amount import some
from tests.support.feeding import feed_and_settle, wait_for_cover
from tests.support.recording import (
    LOGGER,
    SMALL,
    START_US,
    US,
    Feed,
    FixedClock,
    Stores,
    capture_times,
    record,
    take_over,
    until,
)
from videostore.base.ranges import Range
from videostore.media.packet import Gap
from videostore.media.segment import LOST_BOTH, LOST_END, LOST_START, Segment
from videostore.storage.archive import Archive
from videostore.storage.index import Index
from videostore.storage.succession import Joiner, after_adding, after_removing, follows, joins

RUN = 1


def segment(start_s: float, number: int | None, *, run: int | None = RUN, length_s: float = 0.05) -> Segment:
    """A segment of a slow camera: its file says that its only frame lasts 50 ms."""
    start_us = round(start_s * US)
    name = f"{run}-{start_us}.mp4"
    return Segment(name, start_us, start_us + round(length_s * US), 10, 64, 64, "h264", None, run, number)


def steady(count: int, interval_s: float = 20) -> list[Segment]:
    return [segment(number * interval_s, number) for number in range(count)]


def spans(ranges: list[Range]) -> list[tuple[float, float]]:
    return [(one.from_us / US, one.to_us / US) for one in ranges]


# Which follow each other


def test_the_next_number_of_a_run_follows_and_no_other_does() -> None:
    one = segment(0, 4)
    assert follows(one, segment(59, 5))
    assert not follows(one, segment(59, 6))  # the one between them was deleted
    assert not follows(one, segment(59, 5, run=2)) and not follows(segment(0, 4, run=None), segment(1, 5, run=None))


def test_without_numbers_only_what_is_near_follows() -> None:
    assert follows(segment(0, None), segment(2.05, None)) and not follows(segment(0, None), segment(2.06, None))


def test_where_frames_are_lost_no_segment_follows_and_at_the_other_end_it_depends_on_the_distance() -> None:
    for lost in (LOST_END, LOST_BOTH):
        assert not follows(segment(0, lost), segment(1, 1)) and not follows(segment(0, lost), segment(1, None))
    for lost in (LOST_START, LOST_BOTH):
        assert not follows(segment(0, 0), segment(1, lost)) and not follows(segment(0, None), segment(1, lost))
    assert follows(segment(0, LOST_START), segment(1, 1)) and follows(segment(0, 0), segment(1, LOST_END))
    assert not follows(segment(0, LOST_START), segment(20, 1))


def test_what_lies_between_the_segments_of_a_run_is_joined_but_not_what_lies_between_runs() -> None:
    other = [replace(one, run_us=2, start_us=one.start_us + 7 * US, end_us=one.end_us + 7 * US) for one in steady(2)]
    pieces = [*steady(3), *other]
    random.Random(1).shuffle(pieces)
    assert spans(joins(pieces)) == [(0.05, 20), (7.05, 27), (20.05, 40)]
    assert joins([segment(0, 0, length_s=20), segment(20, 1)]) == []


def test_only_the_last_segments_of_a_bounded_number_of_runs_are_remembered() -> None:
    joiner = Joiner()
    for run in range(5000):
        joiner.join(segment(run, 0, run=run))
    assert len(joiner._last) <= 1000
    assert joiner.join(segment(5010, 1, run=4999)) == Range(round(4999.05 * US), 5010 * US)


# In an index that changes


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    index = await Index.open(tmp_path, LOGGER)
    yield index
    await index.close()


async def test_a_segment_that_comes_between_two_is_joined_with_both(index: Index) -> None:
    first, second, third = steady(3)
    await index.add([first, third])
    assert (await after_adding(index, [first, third])).after == []
    await index.add([second])
    change = await after_adding(index, [second])
    assert change.before == [] and spans(change.after) == [(0.05, 20), (20.05, 40)]
    await index.remove([second.file_name])
    change = await after_removing(index, [second])
    assert spans(change.before) == [(0.05, 20), (20.05, 40)] and change.after == []


# Recordings of every rhythm


@some(
    ("interval_s", "seconds", "segment_seconds"),
    [(59.9, 1200, 30), (10, 600, 2), (1, 90, 30), (0.005, 7, 2), (20, 1800, 30), (20, 9000, 3600), (5.5, 600, 30)],
    4,
)
async def test_a_recording_has_no_gap_whatever_the_rhythm_of_its_camera(
    tmp_path: Path, interval_s: float, seconds: float, segment_seconds: float
) -> None:
    times = capture_times(seconds, fps=1 / interval_s, seed=None)
    await record(tmp_path, times, size=SMALL, segment_seconds=segment_seconds)
    segments = await take_over(tmp_path)
    assert len(segments) > 2
    archive = await Archive.open(tmp_path, LOGGER)
    try:
        (one,) = archive.timeline.ranges()
        assert one.from_us == times[0] and times[-1] < one.to_us <= times[-1] + US
        # Of a fast camera, the file says that its last frame lasts until after the next segment begins.
        overlap_us = len(segments) * 50_000
        assert archive.timeline.stored_us == pytest.approx(one.to_us - one.from_us, abs=overlap_us)
        await archive.delete_oldest(segments[0].size_bytes, 1)
    finally:
        await archive.close()


async def test_the_gaps_of_a_slow_camera_are_those_that_it_made(stores: Stores) -> None:
    """While it is recorded, with the open segment, and after a start of the store."""
    feed, clock = Feed(), FixedClock()
    store = await stores.open(feed, clock=clock, segment_seconds=30)
    first = capture_times(400, fps=1 / 20, seed=None)
    await feed_and_settle(store, feed, first)
    await wait_for_cover(store, first[-3])  # ffmpeg holds the last ones back
    (while_open,) = (await store.state()).ranges
    assert while_open.from_us == first[0]
    feed.put(Gap("the camera paused"))
    await until(lambda: store._run is None)
    second = capture_times(400, first[-1] + 100 * US, fps=1 / 20, seed=None)
    await feed_and_settle(store, feed, second)
    expected = [(first[0], first[-1]), (second[0], second[-1])]
    await store.close()
    store = await stores.open(clock=clock)
    await until(lambda: store.unindexed_segments == 0 and not list(stores.storage.glob("*.open")))
    ranges = (await store.state()).ranges
    assert [one.from_us for one in ranges] == [run[0] for run in expected]
    for one, (_, last_us) in zip(ranges, expected, strict=True):
        assert last_us < one.to_us <= last_us + US
    assert store.health().stored_seconds == pytest.approx(sum(one.to_us - one.from_us for one in ranges) / US)


async def test_a_segment_that_was_deleted_out_of_a_run_of_a_slow_camera_is_a_gap(stores: Stores) -> None:
    times = capture_times(600, START_US, fps=1 / 20, seed=None)
    await record(stores.storage, times, size=SMALL, segment_seconds=30)
    segments = await take_over(stores.storage)
    gone = segments[5]
    (stores.storage / gone.file_name).unlink()
    store = await stores.open(clock=FixedClock(wall=times[-1] + 60 * US))
    await until(lambda: store.health().segments == len(segments) - 1)
    before, after = (await store.state()).ranges
    assert (before.to_us, after.from_us) == (segments[4].end_us, segments[6].start_us)
