"""Gaps between ranges, and what a clip lacks of the range that was asked for."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import VideoStoreError, printable
from videostore.base.ranges import DAMAGE_REASONS, UNREADABLE, DamagedRange, Range
from videostore.cli.runtime import DONE, INCOMPLETE, print_message
from videostore.cli.time_options import format_length, format_range, format_time
from videostore.storage.notes import DELETED, RecordingGap, why_gap
from videostore.storage.replaced_files import ReplacedFile
from videostore.store.results import StorageState

_REPORTED_US = US_PER_SECOND // 1000
"""A shorter gap is not reported: times are shown to the millisecond."""
_LISTED = 5
"""So many gaps are listed with their times."""
_AND_FROM = ", from "
"""Between two stretches of a list that begins with "from"."""
_REPLACED = 20
"""So many names of segments that are no files are listed."""


class ClipContents:
    """What a clip holds of the range that was asked for: all of it, unless the store reports its ranges."""

    def __init__(self, asked: Range) -> None:
        self.asked = asked
        self.ranges: tuple[Range, ...] = (asked,)
        self.damaged: tuple[DamagedRange, ...] = ()
        self._noted: Sequence[RecordingGap] = ()

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

    async def explain(self, state: Callable[[], Awaitable[StorageState]]) -> None:
        """Ask for the state of the recording, if anything is missing, to know why."""
        if self.missing():
            with contextlib.suppress(VideoStoreError):  # the clip is made; only the reasons stay unknown
                known = await state()
                self._noted = [*known.gaps, *(one.gap for one in known.replaced if one.gap is not None)]

    def report_missing(self, *, utc: bool) -> int:
        """Print which parts came damaged, and which are missing, if any, and why. Returns the exit code."""
        for line in damage_lines([one for one in self.damaged if one.reason != UNREADABLE], utc=utc):
            print_message(line)
        gaps = self.missing()
        if not gaps:
            return DONE
        missing_us = sum(gap.to_us - gap.from_us for gap in gaps)
        listed = [_missing(gap, self._noted, utc=utc) for gap in gaps[:_LISTED]]
        more = f" and {len(gaps) - _LISTED} more gaps" if len(gaps) > _LISTED else ""
        asked_us = self.asked.to_us - self.asked.from_us
        print_message(
            f"The clip lacks {format_length(missing_us)} of {format_length(asked_us)}: nothing is stored from "
            f"{_AND_FROM.join(listed)}{more}."
        )
        return INCOMPLETE


def _missing(gap: Range, noted: Sequence[RecordingGap], *, utc: bool) -> str:
    reason = why_gap(gap, noted)
    times = f"{format_time(gap.from_us, utc=utc)} to {format_time(gap.to_us, utc=utc)}"
    return f"{times} ({printable(reason)})" if reason else times


def damage_lines(damaged: Sequence[DamagedRange], *, utc: bool) -> list[str]:
    """Sentences that tell what came damaged, the last first, by its reasons."""
    lines = []
    for reason, why in DAMAGE_REASONS.items():
        found = [one for one in damaged if one.reason == reason]
        if found:
            shown = [f"{format_time(one.from_us, utc=utc)} to {format_time(one.to_us, utc=utc)}" for one in found]
            more = f" and {len(shown) - _LISTED} more times" if len(shown) > _LISTED else ""
            lines.append(f"Pictures may be wrong from {_AND_FROM.join(shown[-_LISTED:])}{more}: {why}.")
    return lines


def gap_lines(gaps: Sequence[RecordingGap], *, utc: bool) -> list[str]:
    """Sentences that tell why nothing was recorded, the last times of each reason, the latest reason last."""
    lines = []
    for reason in reversed(dict.fromkeys(one.reason for one in reversed(gaps))):
        found = [Range(one.from_us, one.to_us) for one in gaps if one.reason == reason]
        shown = [f"{' to '.join(format_range(one, utc=utc))}" for one in found[-_LISTED:]]
        more = f" and {len(found) - _LISTED} more times" if len(found) > _LISTED else ""
        what = "Nothing is stored" if reason == DELETED else "Nothing was recorded"
        lines.append(f"{what} from {_AND_FROM.join(shown)}{more}: {printable(reason)}.")
    return lines


def replaced_lines(replaced: Sequence[ReplacedFile], *, utc: bool) -> list[str]:
    """Sentences that tell which names of segments are no files, the newest last."""
    lines = []
    if len(replaced) > _REPLACED:
        lines.append(f"{len(replaced) - _REPLACED} earlier segments that are no files are in --json.")
    for one in replaced[-_REPLACED:]:
        when = "" if one.stored is None else f", from {' to '.join(format_range(one.stored, utc=utc))},"
        lines.append(f"{one.reason}: the video that was recorded under this name{when} is not there.")
    return lines


def gaps_between(ranges: Sequence[Range]) -> list[Range]:
    """The gaps between ranges that are in order."""
    return [Range(before.to_us, after.from_us) for before, after in itertools.pairwise(ranges)]
