"""Windows: where a range may be divided, and where the parts are in the clip of all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recording import SMALL, START_US, US, Stores, capture_times, record, take_over
from videostore.base.errors import FFmpegError
from videostore.base.ranges import Range
from videostore.clips.windows import MOST_SEGMENTS, Windows, _last_border
from videostore.media.segment import Segment
from videostore.store.store import VideoStore


def segment(begin: float, end: float, *, run: int = 0, number: int | None = None) -> tuple[Segment, Path]:
    start_us, end_us = round(begin * US), round(end * US)
    one = Segment(f"{start_us}.mp4", start_us, end_us, 1000, 320, 180, "h264", "x", run_us=run, run_number=number)
    return one, Path(one.file_name)


@pytest.mark.parametrize(
    ("found", "from_s", "border"),
    [
        ([segment(0, 2), segment(2, 4), segment(4, 6)], 1, 2),
        # Where a segment of a run ends is a guess.
        ([segment(0, 2.05, number=0), segment(2, 4.05, number=1)], 1, 1),
        # Another run that begins earlier than the one before it ends: the clock was set back.
        ([segment(0, 2), segment(2, 4), segment(3.5, 5.5, run=1)], 1, 1),
        ([segment(0, 2), segment(1, 3, run=1)], 0, None),
        ([segment(0, 9), segment(2, 4, run=1), segment(10, 12)], 1, 2),
        ([segment(0, 2), segment(3, 5), segment(7, 9)], 6, 2),
        ([segment(0, 2), segment(2, 4)], 3, None),
        ([segment(0, 2)], 0, None),
        ([], 0, None),
    ],
)
def test_a_range_is_divided_only_where_nothing_overlaps(
    found: list[tuple[Segment, Path]], from_s: float, border: int | None
) -> None:
    assert _last_border(found, round(from_s * US)) == border


async def gone_through(store: VideoStore, asked: Range) -> list[tuple[int, int, int]]:
    """Number of segments, start and place of each window."""
    windows = Windows(store._clips.planner, store._archive, store._clips.workspaces, asked)
    found = []
    while True:
        async with windows.next(asked.to_us) as window:
            parts = list(window.plan.parts)
            if parts:
                found.append((len(parts), parts[0].first_us, window.position_us))
        if window.last:
            return found


async def test_windows_follow_each_other_and_get_longer_up_to_a_bound(stores: Stores) -> None:
    times = capture_times(24)
    await record(stores.storage, times)
    await take_over(stores.storage)
    store = await stores.open()
    found = await gone_through(store, Range(times[5], times[-1]))
    assert [count for count, _, _ in found] == [1, 3, 8], "the last segment has no window of its own"
    assert all(position == first - times[5] for _, first, position in found)
    assert MOST_SEGMENTS >= 8 and not list((stores.storage / ".cuts").glob("*"))


async def test_a_gap_has_no_place_in_the_clip(stores: Stores) -> None:
    await record(stores.storage, capture_times(8))
    await record(stores.storage, capture_times(4, START_US + 100 * US))
    await take_over(stores.storage)
    store = await stores.open()
    found = await gone_through(store, Range(START_US, START_US + 200 * US))
    second = next(position for _, first, position in found if first >= START_US + 100 * US)
    assert 7.5 * US < second <= 8.2 * US


async def test_another_format_ends_it(stores: Stores) -> None:
    await record(stores.storage, capture_times(6))
    await record(stores.storage, capture_times(2, START_US + 6 * US + 100_000), size=SMALL)
    await take_over(stores.storage)
    store = await stores.open()
    with pytest.raises(FFmpegError) as error:
        await gone_through(store, Range(START_US, START_US + 20 * US))
    assert error.value.code == "stream-format-changed"
