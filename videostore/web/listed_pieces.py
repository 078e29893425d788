"""Listed pieces: what a playlist that grows listed last, by which its pieces keep their numbers. Pure: nothing is read.

A number must never be that of another piece than before, whatever is read, closed or deleted meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from videostore.store.viewing import SegmentKey, ViewedSegment
from videostore.web.parts import Patience
from videostore.web.playlists import Entry


class Pieces(NamedTuple):
    """The pieces of a segment."""

    key: SegmentKey
    entries: Sequence[Entry]


class _Count(NamedTuple):
    pieces: int
    is_whole: bool
    """Whether the segment is one piece, as its parts are not known."""


@dataclass(slots=True)
class ListedPieces:
    """What a playlist listed last, and what it left out before."""

    sequence: int
    discontinuities: int
    target_s: int = 1
    """Of the longest piece that it had."""
    patience: Patience = field(default_factory=Patience)
    _counts: dict[SegmentKey, _Count] = field(default_factory=dict)
    """Its segments, in order."""
    _last: SegmentKey | None = None
    """The last segment that was listed."""
    _begin: SegmentKey | None = None
    """What is before this segment was left out."""
    _gone: SegmentKey | None = None
    """The last segment that was left out itself, as it was gone, or had lost pieces."""

    @property
    def begin_us(self) -> int | None:
        """Where its first segment begins; None if it has none."""
        return next((key.start_us for key in self._counts), None)

    @property
    def last(self) -> SegmentKey | None:
        """Its last segment, which may get more pieces."""
        return next(reversed(self._counts), None)

    def may_grow(self, key: SegmentKey) -> bool:
        """Whether a segment was not listed yet, or is the last one that was."""
        return self._last is None or key.order >= self._last.order

    def is_whole(self, key: SegmentKey) -> bool:
        """Whether a segment was listed as one piece."""
        return key in self._counts and self._counts[key].is_whole

    def following(self, segments: Sequence[ViewedSegment], *, waits: bool) -> list[ViewedSegment]:
        """The segments that may be listed: from the first one that was, or from behind the last of these that is gone.

        The quota passes over footage that is kept, and what comes after a hole must keep its numbers. A segment that
        appears between those that were listed comes too late. If it `waits` for the last one, that is not gone, and
        nothing may be behind it.
        """
        there = {one.key for one in segments}
        if waits and self.last is not None:
            there.add(self.last)
            segments = [one for one in segments if one.key in self._counts]
        gone = [key for key in self._counts if key not in there]
        if gone:
            self._leave_out_with(gone[-1])
        return [one for one in segments if self._may_list(one.key)]

    def _may_list(self, key: SegmentKey) -> bool:
        if self._gone is not None and key.order <= self._gone.order:
            return False
        is_late = self._begin is not None and key.order < self._begin.order
        return not is_late and (key in self._counts or self.may_grow(key))

    def take(self, found: Sequence[Pieces]) -> list[Entry]:
        """List the pieces that were found, as far as each keeps its number. Returns these.

        Where a segment has fewer than were listed, it is left out with all before it, and counted.
        """
        kept: list[Pieces] = []
        for one in found:
            count = self._counts[one.key].pieces if one.key in self._counts else 0
            if len(one.entries) < count:
                kept = []
                self._leave_out_with(one.key)
            elif one.entries:
                kept.append(one if self.may_grow(one.key) else Pieces(one.key, one.entries[:count]))
        if kept:
            self.leave_out(kept[0].key)
            self._last = (
                kept[-1].key if self._last is None else max(self._last, kept[-1].key, key=lambda key: key.order)
            )
        self._counts = {one.key: _Count(len(one.entries), is_whole=one.entries[0].header_bytes is None) for one in kept}
        return [entry for one in kept for entry in one.entries]

    def leave_out(self, first: SegmentKey) -> None:
        """Count what is before a segment as left out."""
        self._count_out([one for one in self._counts if one.order < first.order])
        self._begin = first if self._begin is None else max(self._begin, first, key=lambda key: key.order)

    def _leave_out_with(self, last: SegmentKey) -> None:
        self._count_out([one for one in self._counts if one.order <= last.order])
        self._gone = last

    def _count_out(self, keys: Sequence[SegmentKey]) -> None:
        for key in keys:
            self.sequence += self._counts.pop(key).pieces
            self.discontinuities += 1
