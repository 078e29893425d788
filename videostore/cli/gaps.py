"""What is missing between ranges, and what a clip lacks of its range."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import Range
from videostore.cli.runtime import DONE, INCOMPLETE, tell
from videostore.cli.time_options import length, written

_TOLD_US = US_PER_SECOND // 1000
_NAMED = 5


class Held:
    """What a clip holds of the range that was asked for: all of it, unless `note` is told otherwise."""

    def __init__(self, asked: Range) -> None:
        self.asked = asked
        self.ranges: tuple[Range, ...] = (asked,)

    def note(self, ranges: Sequence[Range] | None) -> None:
        """Take what the store answers: None where the clip is complete."""
        if ranges is not None:
            self.ranges = tuple(ranges)

    def missing(self) -> list[Range]:
        """What it lacks, but for less than a millisecond each."""
        starts = [self.asked.from_us, *(one.to_us for one in self.ranges)]
        ends = [*(one.from_us for one in self.ranges), self.asked.to_us]
        gaps = [Range(from_us, to_us) for from_us, to_us in zip(starts, ends, strict=True)]
        return [gap for gap in gaps if gap.to_us - gap.from_us >= _TOLD_US]

    def tell_missing(self, *, utc: bool) -> int:
        """Say what it lacks, if anything; the exit code."""
        gaps = self.missing()
        if not gaps:
            return DONE
        missing_us = sum(gap.to_us - gap.from_us for gap in gaps)
        parts = ", ".join(f"{written(gap.from_us, utc=utc)} to {written(gap.to_us, utc=utc)}" for gap in gaps[:_NAMED])
        more = f" and {len(gaps) - _NAMED} more gaps" if len(gaps) > _NAMED else ""
        asked_us = self.asked.to_us - self.asked.from_us
        tell(f"The clip lacks {length(missing_us)} of {length(asked_us)}: nothing is stored from {parts}{more}.")
        return INCOMPLETE


def between(ranges: Sequence[Range]) -> list[Range]:
    """The gaps between ranges that are in order."""
    return [Range(before.to_us, after.from_us) for before, after in itertools.pairwise(ranges)]
