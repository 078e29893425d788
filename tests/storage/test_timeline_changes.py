"""The timeline is that of the segments in the index, in whatever order they came and went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import LOGGER, US
from videostore.base.constants import RANGE_SLOP_US
from videostore.base.ranges import Range, merge_ranges
from videostore.media.segment import Segment
from videostore.storage.index import Index
from videostore.storage.succession import joins
from videostore.storage.timeline import Timeline
from videostore.storage.timeline_changes import add_segments, read_timeline, remove_segments


def segment(start_s: float, number: int, run: int) -> Segment:
    """A segment of a slow camera: its file says that its only frame lasts 50 ms."""
    start_us = round(start_s * US)
    return Segment(f"{run}-{start_us}.mp4", start_us, start_us + 50_000, 10, 64, 64, "h264", None, run, number)


@given(st.data())
async def test_whatever_is_added_and_removed_the_timeline_is_that_of_the_segments_that_are_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    steps_s = data.draw(st.lists(st.sampled_from([0.1, 1, 4.9, 5.1, 20, 59.9, 300]), min_size=1, max_size=12))
    pieces, at_s, run, number = [segment(0, 0, 1)], 0.0, 1, 0
    for step_s in steps_s:
        at_s += step_s
        run, number = (run + 1, 0) if step_s > 60 else (run, number + 1)
        pieces.append(segment(at_s, number, run))
    index = await Index.open(tmp_path_factory.mktemp("index"), LOGGER)
    timeline, there = Timeline(), set[int]()
    try:
        for number in data.draw(st.lists(st.integers(0, len(pieces) - 1), max_size=20)):
            one = pieces[number]
            if number in there:
                there.remove(number)
                await index.remove([one.file_name])
                await remove_segments(timeline, index, [one])
            else:
                there.add(number)
                await index.add([one])
                await add_segments(timeline, index, [one])
            left = [pieces[number] for number in there]
            lengths = [Range(one.start_us, one.end_us) for one in left] + joins(left)
            assert timeline.ranges() == merge_ranges(lengths, RANGE_SLOP_US)
            read = await read_timeline(index, LOGGER)
            assert (read.ranges(), read.stored_us) == (timeline.ranges(), timeline.stored_us)
            assert timeline.stored_us == sum(one.to_us - one.from_us for one in lengths)
    finally:
        await index.close()
