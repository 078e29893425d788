"""What viewers ask of the index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import LOGGER
from videostore.base.ranges import DamagedRange, Range
from videostore.media.segment import Segment
from videostore.storage.index import Index
from videostore.storage.view_queries import damage_within, names_of

DAMAGE = DamagedRange(11, 12, "packets-lost")


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    index = await Index.open(tmp_path, LOGGER)
    await index.add(
        [
            Segment("1.mp4", 0, 10, 1, 1, 1, "h264", run_us=7),
            Segment("2.mp4", 10, 20, 1, 1, 1, "h264", run_us=7, damaged=(DAMAGE,)),
            Segment("3.mp4", 10, 20, 1, 1, 1, "h264"),
        ]
    )
    yield index
    await index.close()


async def test_a_segment_is_found_by_its_start_and_its_run(index: Index) -> None:
    assert await names_of(index, 0, 7, 0) == ["1.mp4"]
    assert await names_of(index, 10, 7, 0) == ["2.mp4"]
    assert await names_of(index, 10, None, 0) == ["3.mp4"]
    assert await names_of(index, 10, 8, 5) == []
    assert await names_of(index, 7, 7, 3) == ["2.mp4"]
    assert await names_of(index, 7, 7, 2) == []


async def test_of_several_that_begin_near_a_time_the_nearest_comes_first_and_of_copies_the_longest(
    index: Index,
) -> None:
    await index.add([Segment(f"{end_us}.mp4", 10, end_us, 1, 1, 1, "h264", run_us=7) for end_us in (19, 21)])
    assert await names_of(index, 10, 7, 0) == ["21.mp4", "2.mp4", "19.mp4"]
    assert await names_of(index, 4, 7, 9) == ["1.mp4", "21.mp4", "2.mp4", "19.mp4"]


async def test_damage_is_found_by_its_segment(index: Index) -> None:
    assert await damage_within(index, Range(0, 10), 5) == []
    assert await damage_within(index, Range(15, 16), 5) == [DAMAGE]
    assert await damage_within(index, Range(0, 100), 0) == []
