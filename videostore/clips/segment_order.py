"""The order of segments in a clip, and which of them are neighbours."""

from __future__ import annotations

import heapq
import itertools
from array import array
from collections.abc import Sequence
from pathlib import Path

from videostore.base.constants import JOIN_US, US_PER_SECOND
from videostore.clips.compact_list import CompactList
from videostore.media.segment import Segment
from videostore.storage.succession import follows

FOREIGN_SLACK_US = 2 * US_PER_SECOND
"""The Go module dates a segment by the second in its name, so neighbours overlap or leave a gap of up to this much."""


def sort_segments(found: Sequence[tuple[Segment, Path]]) -> CompactList[tuple[Segment, Path]]:
    """Segments by start; where runs overlap because the clock was set back, one run after another.

    Of copies of one segment, which have the same run and start, only the longest is taken of those whose files are
    there: the index may still list the name that one had before it was renamed. Blocking.
    """
    by_start = _by_start(found)
    ordered = CompactList[tuple[Segment, Path]]()
    runs: dict[int | None, list[tuple[Segment, Path]]] = {}
    end_us = -(1 << 62)
    for pair, own_end_us in zip(by_start, _ends_us(by_start), strict=True):
        if pair[0].start_us >= end_us - (FOREIGN_SLACK_US if pair[0].run_us is None else 0):
            for run in runs.values():
                ordered.extend(run)
            runs = {}
        runs.setdefault(pair[0].run_us, []).append(pair)
        end_us = max(end_us, own_end_us)
    for run in runs.values():
        ordered.extend(run)
    return ordered


def _by_start(found: Sequence[tuple[Segment, Path]]) -> CompactList[tuple[Segment, Path]]:
    """Segments by start, without copies."""
    starts_us = array("q", (segment.start_us for segment, _ in found))
    # The index gives them in order, so few streaks are merged, one by one; to sort them is one long step.
    begins = [number for number, (one, other) in enumerate(itertools.pairwise(starts_us), 1) if other < one]
    streaks = map(range, [0, *begins], [*begins, len(starts_us)])
    numbers = heapq.merge(*streaks, key=starts_us.__getitem__)
    by_start = CompactList[tuple[Segment, Path]]()
    for _, same in itertools.groupby(numbers, key=starts_us.__getitem__):
        taken: set[int] = set()
        pairs = [found[number] for number in same]
        if len(pairs) > 1:
            pairs.sort(key=lambda pair: (not pair[1].exists(), -pair[0].end_us, pair[1]))
        for pair in pairs:
            run_us = pair[0].run_us
            if run_us is not None:
                if run_us in taken:
                    continue
                taken.add(run_us)
            by_start.append(pair)
    return by_start


def _ends_us(by_start: Sequence[tuple[Segment, Path]]) -> array[int]:
    """Where the segments end: where the next one of the run begins, if that is later, because their own end is a
    guess."""
    ends_us = array("q")
    before: dict[int | None, tuple[int, Segment]] = {}
    for number, (segment, _) in enumerate(by_start):
        ends_us.append(segment.end_us)
        if segment.run_us in before:
            last, one = before[segment.run_us]
            if touch(one, segment):
                ends_us[last] = max(ends_us[last], segment.start_us)
        before[segment.run_us] = number, segment
    return ends_us


def touch(one: Segment, other: Segment) -> bool:
    """Whether the last frame of a segment lasts until the first frame of the next one."""
    if one.lost_after or other.lost_before:
        return False
    distance_us = other.start_us - one.end_us
    if one.run_us is None or other.run_us is None:
        return abs(distance_us) <= FOREIGN_SLACK_US
    if one.run_us != other.run_us:
        return abs(distance_us) <= JOIN_US
    return follows(one, other)
