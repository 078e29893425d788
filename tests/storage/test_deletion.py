from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, US
from videostore.base.ranges import Range
from videostore.media.segment import Segment
from videostore.storage.deletion import DeletedSpans, choose_oldest
from videostore.storage.index import Index


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    """An index of five segments of 30 s and 1000 bytes each, without gaps, from 100 s on."""
    index = await Index.open(tmp_path, LOGGER)
    starts = range(100, 250, 30)
    await index.add([Segment(f"{s}.mp4", s * US, (s + 30) * US, 1000, 640, 480, "h264") for s in starts])
    yield index
    await index.close()


async def chosen(
    index: Index,
    wanted_bytes: int,
    limit: int = 100,
    held: Sequence[Range] = (),
    before_us: int | None = None,
    undeletable: Collection[str] = (),
) -> list[list[int]]:
    """The starts of the chosen segments in seconds, in their groups."""
    groups = await choose_oldest(index, wanted_bytes, limit, held=held, before_us=before_us, undeletable=undeletable)
    return [[segment.start_us // US for segment in group] for group in groups]


async def test_the_oldest_are_chosen_until_they_have_enough_bytes(index: Index) -> None:
    assert await chosen(index, 0) == [[]]
    assert await chosen(index, 1) == [[100]]
    assert await chosen(index, 1001) == [[100, 130]]
    assert await chosen(index, 1 << 40) == [[100, 130, 160, 190, 220]]


async def test_no_more_are_chosen_than_the_limit(index: Index) -> None:
    assert await chosen(index, 1 << 40, limit=2) == [[100, 130]]


async def test_held_segments_are_skipped_and_separate_groups(index: Index) -> None:
    held = [Range(140 * US, 161 * US)]
    assert await chosen(index, 3000, held=held) == [[100], [190, 220]]
    assert await chosen(index, 3000, held=[Range(130 * US, 130 * US + 1)]) == [[100], [160, 190]]
    assert not any(await chosen(index, 1, held=[Range(0, 1 << 60)]))


async def test_undeletable_files_are_skipped(index: Index) -> None:
    assert await chosen(index, 2000, undeletable={"130.mp4"}) == [[100], [160]]


async def test_the_choice_ends_at_a_time(index: Index) -> None:
    assert await chosen(index, 1 << 40, before_us=160 * US) == [[100, 130]]
    assert await chosen(index, 1 << 40, before_us=160 * US + 1) == [[100, 130, 160]]


def test_what_was_deleted_is_told_once_and_joined() -> None:
    spans = DeletedSpans()
    for start_s in (100, 130, 190):
        spans.add([Segment(f"{start_s}.mp4", start_s * US, (start_s + 29) * US, 1000, 640, 480, "h264")])
    assert spans.take() == [Range(100 * US, 159 * US), Range(190 * US, 219 * US)]
    assert spans.take() == []
