"""Which segments of a run follow each other: there the last frame of one lasts until the first frame of the next.

The file of a segment only has a guess of how long its last frame lasts: one over the frame rate. After a camera that
sends a frame in 20 s, nearly 20 s that are not a gap lie between the end in the file and the next segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from videostore.base.constants import MAX_STEP_IN_RUN_US, US_PER_SECOND
from videostore.base.ranges import Range
from videostore.media.segment import LOST_BOTH, LOST_END, LOST_START, Segment
from videostore.storage.index import Index

TOUCHING_US = 2 * US_PER_SECOND
"""Segments of one run whose numbers are not known are neighbours if they are at most this far apart."""

_NEAR_US = 2 * MAX_STEP_IN_RUN_US + 10 * US_PER_SECOND
"""Whatever a segment is joined with, and what that is joined with, is not further away."""
_RUNS = 1000
"""Runs overlap only where the clock was set back, so few can still go on."""


class Piece(Protocol):
    """What has to be known of a segment."""

    @property
    def start_us(self) -> int: ...
    @property
    def end_us(self) -> int: ...
    @property
    def run_us(self) -> int | None: ...
    @property
    def run_number(self) -> int | None: ...


class Joiner:
    """Finds what lies between the segments of a run. It gets them one after the other, by start."""

    def __init__(self) -> None:
        self._last: dict[int, Piece] = {}

    def join(self, piece: Piece) -> Range | None:
        """What lies between a segment and the one that it follows; None if that is nothing, or a gap."""
        if piece.run_us is None:
            return None
        last = self._last.pop(piece.run_us, None)
        self._last[piece.run_us] = piece
        if len(self._last) > _RUNS:
            del self._last[next(iter(self._last))]
        if last is None or last.end_us >= piece.start_us or not follows(last, piece):
            return None
        return Range(last.end_us, piece.start_us)


class Change(NamedTuple):
    """What lies between the segments near those that were added or removed."""

    near: Sequence[Segment]
    """The segments that are there now."""
    before: list[Range]
    after: list[Range]


def follows(one: Piece, other: Piece) -> bool:
    """Whether a segment of a run is the next one after another of the same run."""
    if one.run_us is None or one.run_us != other.run_us:
        return False
    if one.run_number in (LOST_END, LOST_BOTH) or other.run_number in (LOST_START, LOST_BOTH):
        return False
    # A run has no gaps, but a segment between the two may be deleted.
    if one.run_number is not None and other.run_number is not None and min(one.run_number, other.run_number) >= 0:
        return other.run_number == one.run_number + 1
    return abs(other.start_us - one.end_us) <= max(TOUCHING_US, (one.end_us - one.start_us) // 2)


def joins(segments: Iterable[Piece]) -> list[Range]:
    """What lies between segments that follow each other."""
    joiner = Joiner()
    found = (joiner.join(one) for one in sorted(segments, key=lambda one: one.start_us))
    return [one for one in found if one is not None]


async def after_adding(index: Index, added: Sequence[Segment]) -> Change:
    """What changes between the segments when some were added to the index."""
    near = await _near(index, added)
    names = {one.file_name for one in added}
    return Change(near, joins(one for one in near if one.file_name not in names), joins(near))


async def after_removing(index: Index, gone: Sequence[Segment]) -> Change:
    """What changes between the segments when some were removed from the index."""
    near = await _near(index, gone)
    return Change(near, joins([*near, *gone]), joins(near))


async def _near(index: Index, segments: Sequence[Segment]) -> list[Segment]:
    """What is in the index near some segments: one query for those that are near each other."""
    found: dict[str, Segment] = {}
    begin_us = end_us = None
    for one in [*sorted(segments, key=lambda one: one.start_us), None]:
        if begin_us is not None and end_us is not None and (one is None or one.start_us > end_us + _NEAR_US):
            near = await index.select(begin_us - _NEAR_US, end_us + _NEAR_US)
            found |= {segment.file_name: segment for segment in near}
            begin_us = None
        if one is not None:
            begin_us, end_us = (one.start_us if begin_us is None else begin_us), max(end_us or 0, one.end_us)
    return list(found.values())
