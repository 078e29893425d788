"""Ranges of time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """A range of time, [from_us, to_us), in microseconds UTC."""

    from_us: int
    """Start, included."""
    to_us: int
    """End, not included."""


def merge_ranges(ranges: list[Range], slop_us: int = 0) -> list[Range]:
    """Join ranges that overlap, touch, or are at most `slop_us` microseconds apart. The result is sorted."""
    merged: list[Range] = []
    for one in sorted(ranges, key=lambda r: r.from_us):
        if merged and one.from_us <= merged[-1].to_us + slop_us:
            merged[-1] = Range(merged[-1].from_us, max(merged[-1].to_us, one.to_us))
        else:
            merged.append(one)
    return merged
