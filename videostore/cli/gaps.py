"""Gaps between ranges, and what a clip lacks of the range that was asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import DAMAGE_REASONS, UNREADABLE, DamagedRange, Range
from videostore.cli.runtime import DONE, INCOMPLETE, print_message
from videostore.cli.time_options import format_length, format_range, format_time
from videostore.storage.notes import RecordingGap

_REPORTED_US = US_PER_SECOND // 1000
"""A shorter gap is not reported: times are shown to the millisecond."""
_LISTED = 5
"""So many gaps are listed with their times."""


class ClipContents:
    """What a clip holds of the range that was asked for: all of it, unless the store reports its ranges."""

    def __init__(self, asked: Range) -> None:
        self.asked = asked
        self.ranges: tuple[Range, ...] = (asked,)
        self.damaged: tuple[DamagedRange, ...] = ()

    def update(self, ranges: Sequence[Range] | None) -> None:
        """Take the ranges that the store reports; None means that the clip is complete."""
        if ranges is not None:
            self.ranges = tuple(ranges)

    def update_damaged(self, damaged: Sequence[DamagedRange]) -> None:
        """Take what is damaged of it."""
        self.damaged = tuple(damaged)

    def missing(self) -> list[Range]:
        """The gaps of at least one millisecond."""
        starts = [self.asked.from_us, *(one.to_us for one in self.ranges)]
        ends = [*(one.from_us for one in self.ranges), self.asked.to_us]
        gaps = [Range(from_us, to_us) for from_us, to_us in zip(starts, ends, strict=True)]
        return [gap for gap in gaps if gap.to_us - gap.from_us >= _REPORTED_US]

    def report_missing(self, *, utc: bool) -> int:
        """Print which parts came damaged, and which are missing, if any. Returns the exit code."""
        for line in damage_lines([one for one in self.damaged if one.reason != UNREADABLE], utc=utc):
            print_message(line)
        gaps = self.missing()
        if not gaps:
            return DONE
        missing_us = sum(gap.to_us - gap.from_us for gap in gaps)
        listed = [f"{format_time(gap.from_us, utc=utc)} to {format_time(gap.to_us, utc=utc)}" for gap in gaps[:_LISTED]]
        more = f" and {len(gaps) - _LISTED} more gaps" if len(gaps) > _LISTED else ""
        asked_us = self.asked.to_us - self.asked.from_us
        print_message(
            f"The clip lacks {format_length(missing_us)} of {format_length(asked_us)}: nothing is stored from "
            f"{', '.join(listed)}{more}."
        )
        return INCOMPLETE


def damage_lines(damaged: Sequence[DamagedRange], *, utc: bool) -> list[str]:
    """Sentences that tell what came damaged, the last first, by its reasons."""
    lines = []
    for reason, why in DAMAGE_REASONS.items():
        found = [one for one in damaged if one.reason == reason]
        if found:
            shown = [f"{format_time(one.from_us, utc=utc)} to {format_time(one.to_us, utc=utc)}" for one in found]
            more = f" and {len(shown) - _LISTED} more times" if len(shown) > _LISTED else ""
            lines.append(f"Pictures may be wrong from {', '.join(shown[-_LISTED:])}{more}: {why}.")
    return lines


def gap_lines(gaps: Sequence[RecordingGap], *, utc: bool) -> list[str]:
    """Sentences that tell why nothing was recorded, the last times of each reason, the latest reason last."""
    lines = []
    for reason in reversed(dict.fromkeys(one.reason for one in reversed(gaps))):
        found = [Range(one.from_us, one.to_us) for one in gaps if one.reason == reason]
        shown = [f"{' to '.join(format_range(one, utc=utc))}" for one in found[-_LISTED:]]
        more = f" and {len(found) - _LISTED} more times" if len(found) > _LISTED else ""
        lines.append(f"Nothing was recorded from {', '.join(shown)}{more}: {reason}.")
    return lines


def reason_for(gap: Range, noted: Sequence[RecordingGap]) -> str | None:
    """Why there is a gap; None if that is not known. Of several reasons, that of the longest time."""
    lengths = {one: min(one.to_us, gap.to_us) - max(one.from_us, gap.from_us) for one in noted}
    longest = max(lengths, key=lambda one: lengths[one], default=None)
    return longest.reason if longest is not None and lengths[longest] > 0 else None


def gaps_between(ranges: Sequence[Range]) -> list[Range]:
    """The gaps between ranges that are in order."""
    return [Range(before.to_us, after.from_us) for before, after in itertools.pairwise(ranges)]
