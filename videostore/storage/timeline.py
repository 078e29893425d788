"""The timeline: what is stored, as ranges of time and sums. It is updated with each segment, so reading it is cheap."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Iterator

from videostore.base.constants import RANGE_SLOP_US
from videostore.base.ranges import Range


class Timeline:
    """The ranges, bytes and seconds of all closed segments."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.stored_bytes = 0
        self.stored_us = 0
        self.segments = 0

    def add(self, start_us: int, end_us: int, size_bytes: int) -> None:
        """Add a segment. Adding one after all others, the usual case, is cheap."""
        self.stored_bytes += size_bytes
        self.stored_us += end_us - start_us
        self.segments += 1
        self._cover(start_us, end_us)

    def join(self, before: Collection[Range], after: Collection[Range]) -> None:
        """Take in what lies between segments that follow each other: `after` instead of `before`."""
        self.stored_us += _length_us(after) - _length_us(before)
        for one in after:
            self._cover(one.from_us, one.to_us)

    def remove(
        self,
        gone: Iterable[tuple[int, int, int]],
        left: Iterable[tuple[int, int]],
        before: Collection[Range] = (),
        after: Collection[Range] = (),
    ) -> None:
        """Remove segments, given by start, end and size.

        `before` and `after` have what lay and what now lies between segments that follow each other. `left` has start
        and end of the remaining segments that are at most `RANGE_SLOP_US` away from anything that goes.
        """
        unjoined = set(before) - set(after)
        from_us = min((one.from_us for one in unjoined), default=1 << 62)
        to_us = max((one.to_us for one in unjoined), default=-(1 << 62))
        for start_us, end_us, size_bytes in gone:
            self.stored_bytes -= size_bytes
            self.stored_us -= end_us - start_us
            self.segments -= 1
            from_us, to_us = min(from_us, start_us), max(to_us, end_us)
        if from_us > to_us:
            return
        self._uncover(from_us - RANGE_SLOP_US, to_us + RANGE_SLOP_US)
        for start_us, end_us in left:
            self._cover(start_us, end_us)
        self.join(before, after)

    @property
    def start_us(self) -> int | None:
        """Start of the first range; None if nothing is stored."""
        return self._starts[0] if self._starts else None

    @property
    def gaps(self) -> int:
        """Number of gaps between the ranges."""
        return max(0, len(self._starts) - 1)

    @property
    def end_us(self) -> int | None:
        """End of the last range; None if nothing is stored."""
        return self._ends[-1] if self._ends else None

    def end_within(self, from_us: int, to_us: int) -> int | None:
        """End of the last range that overlaps [from_us, to_us); None if none does."""
        last = bisect.bisect_left(self._starts, to_us) - 1
        return self._ends[last] if last >= 0 and self._ends[last] > from_us else None

    def within(self, from_us: int, to_us: int) -> int:
        """How many ranges overlap [from_us, to_us)."""
        return max(0, bisect.bisect_left(self._starts, to_us) - bisect.bisect_right(self._ends, from_us))

    def summary(self, from_us: int, to_us: int, apart_us: int = 0) -> list[Range]:
        """What is stored of [from_us, to_us). Ranges less than `apart_us` apart are joined, and are not looked at one
        by one: the cost depends on the result."""
        found: list[Range] = []
        at = bisect.bisect_right(self._ends, from_us)
        while at < len(self._starts) and self._starts[at] < to_us:
            begin_us, end_us = self._starts[at], self._ends[at]
            while apart_us:
                last = bisect.bisect_left(self._starts, end_us + apart_us) - 1
                if last <= at or end_us >= to_us:
                    break
                at, end_us = last, self._ends[last]
            found.append(Range(max(begin_us, from_us), min(end_us, to_us)))
            at += 1
        return found

    def nearest(self, from_us: int, to_us: int) -> Range | None:
        """The range that overlaps [from_us, to_us) or is nearest to it; None if nothing is stored."""
        after = bisect.bisect_right(self._ends, from_us)
        near = [Range(self._starts[at], self._ends[at]) for at in (after - 1, after) if 0 <= at < len(self._starts)]
        return min(near, key=lambda one: max(one.from_us - to_us, from_us - one.to_us), default=None)

    def around(self, at_us: int) -> tuple[Range | None, Range | None]:
        """The last range that begins by a moment, and the first one that begins after it."""
        after = bisect.bisect_right(self._starts, at_us)
        found = [
            Range(self._starts[at], self._ends[at]) if 0 <= at < len(self._starts) else None
            for at in (after - 1, after)
        ]
        return found[0], found[1]

    def with_ranges(self, ranges: Iterable[Range]) -> Timeline:
        """A copy in which these ranges are stored too. Cheap, however much is stored. It has no sums."""
        copy = Timeline()
        copy._starts, copy._ends = self._starts.copy(), self._ends.copy()
        for one in ranges:
            copy._cover(one.from_us, one.to_us)
        return copy

    def each(self) -> Iterator[Range]:
        """All ranges, in order, one by one. The timeline must not change meanwhile."""
        return map(Range, self._starts, self._ends)

    def ranges(self) -> list[Range]:
        """All ranges, in order."""
        return list(self.each())

    def _cover(self, start_us: int, end_us: int) -> None:
        # Ranges at most the slop away from the new one are merged with it.
        first = bisect.bisect_left(self._ends, start_us - RANGE_SLOP_US)
        last = bisect.bisect_right(self._starts, end_us + RANGE_SLOP_US)
        if first < last:
            start_us = min(start_us, self._starts[first])
            end_us = max(end_us, self._ends[last - 1])
        self._starts[first:last] = [start_us]
        self._ends[first:last] = [end_us]

    def _uncover(self, start_us: int, end_us: int) -> None:
        first = bisect.bisect_right(self._ends, start_us)
        last = bisect.bisect_left(self._starts, end_us)
        if first >= last:
            return
        before, after = self._starts[first], self._ends[last - 1]
        kept = [(before, start_us)] if before < start_us else []
        kept += [(end_us, after)] if after > end_us else []
        self._starts[first:last] = [start for start, _ in kept]
        self._ends[first:last] = [end for _, end in kept]


def _length_us(ranges: Iterable[Range]) -> int:
    return sum(one.to_us - one.from_us for one in ranges)
