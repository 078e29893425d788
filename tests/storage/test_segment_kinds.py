"""What kinds of segments a range has, and how many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support.recording import LOGGER, US
from videostore.media.segment import Segment
from videostore.storage.index import Index
from videostore.storage.segment_kinds import SegmentKind, count_of, first_of, kinds_of, runs_of


async def test_kinds_are_counted_within_the_range_and_the_limit(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    one = Segment("0.mp4", 0, 2 * US, 9, 320, 180, "h264", "x", run_us=0)
    two = replace(one, width=640, run_us=None)
    kinds = [one, one, two, one]
    await index.add(
        [
            replace(kind, file_name=f"{n}.mp4", start_us=2 * n * US, end_us=2 * (n + 1) * US)
            for n, kind in enumerate(kinds)
        ]
    )
    small, large = ("h264", 320, 180, "x", 1), ("h264", 640, 180, "x", 0)
    found = await kinds_of(index, US, 9 * US, 10)
    assert sorted(found) == [SegmentKind(*small, 3, "0.mp4"), SegmentKind(*large, 1, "2.mp4")]
    assert await kinds_of(index, 2 * US, 4 * US, 10) == [SegmentKind(*small, 1, "1.mp4")]
    assert await kinds_of(index, 0, 9 * US, 2) == [SegmentKind(*small, 2, "0.mp4")]
    assert await count_of(index, 2 * US, 6 * US) == (2, 4 * US)
    assert await first_of(index, US, 9 * US, *small[:3]) == 2 * US
    assert await first_of(index, US, 9 * US, *small[:3], other=True) == 4 * US
    assert await first_of(index, 0, 9 * US, *large[:3]) is None, "it is of another program"
    assert await first_of(index, 5 * US, 6 * US, *small[:3], other=True) is None
    assert await count_of(index, 100 * US, 200 * US) == (0, None)
    await index.close()


async def test_each_run_of_a_range_is_named_by_its_first_segment(tmp_path: Path) -> None:
    index = await Index.open(tmp_path, LOGGER)
    one = Segment("0.mp4", 0, 2 * US, 9, 320, 180, "h264", "x", run_us=0)
    await index.add(
        [
            replace(one, file_name=f"{n}.mp4", start_us=2 * n * US, end_us=2 * (n + 1) * US, run_us=run)
            for n, run in enumerate([7, 7, None, 9, 9, 3])
        ]
    )
    assert await runs_of(index, 0, 99 * US, 10) == ["0.mp4", "3.mp4", "5.mp4"]
    assert await runs_of(index, 3 * US, 9 * US, 10) == ["1.mp4", "3.mp4"]
    assert await runs_of(index, 0, 99 * US, 4) == ["0.mp4", "3.mp4"]
    await index.close()
