"""Viewing: where the segments of a range are, and what is stored when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, US
from videostore.base.ranges import Range
from videostore.store.store import VideoStore
from videostore.store.viewing import SegmentKey


def test_a_key_is_read_as_it_is_written() -> None:
    for key in (SegmentKey(1_725_000_000_123_457, 1_725_000_000_000_000), SegmentKey(0, 0), SegmentKey(5, None)):
        assert SegmentKey.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "1-2-3", "x", "1.5", "٣", "1" * 19, "../1", "1\n"])
def test_nothing_else_is_a_key(text: str) -> None:
    assert SegmentKey.parse(text) is None


async def test_segments_are_found_by_time_and_by_key(recording: Path) -> None:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        found = await store._viewing.segments(START_US, START_US + 7 * US)
        assert [one.path.name for one in found] == sorted(one.name for one in recording.glob("*.mp4"))
        for one in found:
            assert await store._viewing.path_of(one.key) == one.path
            assert await store._viewing.path_of(SegmentKey(one.key.start_us + 1, one.key.run_us)) == one.path
            assert await store._viewing.path_of(SegmentKey(one.key.start_us, None)) is None
        assert len(await store._viewing.segments(START_US, START_US + 7 * US, 2)) == 2


async def test_what_is_stored_of_a_range_is_told(recording: Path, times: list[int]) -> None:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        found = await store._viewing.ranges(Range(START_US - US, START_US + US), 100)
        assert found.ranges == (Range(START_US, START_US + US),)
        assert (found.exact, found.damaged, found.first_us) == (True, (), times[0])
        assert not await store._viewing.is_recording()
