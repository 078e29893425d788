"""The order of segments in a clip, and which of them are neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from videostore.base.constants import JOIN_US, US_PER_SECOND
from videostore.media.segment import Segment
from videostore.storage.succession import follows

FOREIGN_SLACK_US = 2 * US_PER_SECOND
"""The Go module dates a segment by the second in its name, so neighbours overlap or leave a gap of up to this much."""


def sort_segments(found: Sequence[tuple[Segment, Path]]) -> list[tuple[Segment, Path]]:
    """Segments by start; where runs overlap because the clock was set back, one run after another.

    Of copies of one segment, which have the same run and start, only the longest is taken.
    """
    longest_first = sorted(found, key=lambda pair: (pair[0].start_us, -pair[0].end_us, pair[1]))
    by_start, taken = list[tuple[Segment, Path]](), set[tuple[int, int]]()
    for pair in longest_first:
        segment = pair[0]
        if segment.run_us is not None:
            if (segment.run_us, segment.start_us) in taken:
                continue
            taken.add((segment.run_us, segment.start_us))
        by_start.append(pair)
    following: dict[int | None, Segment] = {}
    ends: list[int] = []
    for segment, _ in reversed(by_start):  # a segment's own end is a guess
        after = following.get(segment.run_us)
        ends.append(max(segment.end_us, after.start_us if after and touch(segment, after) else segment.end_us))
        following[segment.run_us] = segment
    ordered: list[tuple[Segment, Path]] = []
    runs: dict[int | None, list[tuple[Segment, Path]]] = {}
    end_us = -(1 << 62)
    for pair, own_end_us in zip(by_start, reversed(ends), strict=True):
        if pair[0].start_us >= end_us - (FOREIGN_SLACK_US if pair[0].run_us is None else 0):
            ordered += [one for run in runs.values() for one in run]
            runs = {}
        runs.setdefault(pair[0].run_us, []).append(pair)
        end_us = max(end_us, own_end_us)
    return ordered + [one for run in runs.values() for one in run]


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
