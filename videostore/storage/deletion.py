"""Chooses which segments to delete: the oldest, without those that are held or cannot be deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from videostore.base.constants import RANGE_SLOP_US
from videostore.base.ranges import Range, merge_ranges
from videostore.media.segment import Segment
from videostore.storage.index import Index

_LAST_NAME = "\U0010ffff"
"""Sorts after every file name."""


class DeletedSpans:
    """What was deleted, until it is taken."""

    def __init__(self) -> None:
        self._spans: list[Range] = []

    def add(self, segments: Iterable[Segment]) -> None:
        """Take in segments that are gone."""
        spans = [Range(one.start_us, one.end_us) for one in segments]
        self._spans = merge_ranges([*self._spans, *spans], RANGE_SLOP_US)

    def take(self) -> list[Range]:
        """What was deleted since this was asked last, with gaps of up to 5 s."""
        spans, self._spans = self._spans, []
        return spans


async def choose_oldest(
    index: Index,
    wanted_bytes: int,
    limit: int,
    *,
    held: Sequence[Range],
    before_us: int | None,
    undeletable: Collection[str],
) -> list[list[Segment]]:
    """Choose the oldest segments of an index, at most `limit`, that together have at least `wanted_bytes`.

    Segments that overlap a range of `held`, or whose names are in `undeletable`, are skipped. The choice ends at the
    first segment that begins at `before_us` or later.

    Returns:
        The segments by start, in groups: no segment lies between those of a group.
    """
    groups: list[list[Segment]] = [[]]
    after: tuple[int, str] | None = None
    while wanted_bytes > 0 and limit > 0 and (batch := await index.oldest(limit, after)):
        for segment in batch:
            after = segment.start_us, segment.file_name
            if wanted_bytes <= 0 or limit <= 0 or (before_us is not None and segment.start_us >= before_us):
                return groups
            holding = next((r for r in held if r.from_us < segment.end_us and segment.start_us < r.to_us), None)
            if holding is not None:
                groups.append([])
                after = max(after, (holding.to_us - 1, _LAST_NAME))
                break
            if segment.file_name in undeletable:
                groups.append([])
                continue
            groups[-1].append(segment)
            wanted_bytes -= segment.size_bytes
            limit -= 1
    return groups
