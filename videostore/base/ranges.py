"""Ranges of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


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


@dataclass(frozen=True, slots=True)
class DamagedRange:
    """A range of time whose frames came damaged, or cannot be read any more. What they show may be wrong."""

    from_us: int
    """Start, included."""
    to_us: int
    """End, not included."""
    reason: str
    """A word that tells why: see `DAMAGE_REASONS`."""


UNREADABLE = "unreadable"
DAMAGE_REASONS = {
    "packets-lost": "packets were lost on the way from the camera",
    "picture-incomplete": "a part of a picture did not come",
    "frame-missing": "a frame did not come that others need",
    UNREADABLE: "what was stored is damaged, and clips leave it out",
}
"""Why a range is damaged, and what that means. A clip holds all of the range, but for the last one."""

MOST_DAMAGED = 1000
"""Of an answer, so many damaged ranges are told apart."""
_TOUCH_US = 100_000
"""Segments guess how long their last frame lasts: damage that goes on in the next one may begin so much later."""


def merge_damaged(ranges: Iterable[DamagedRange], most: int | None = None) -> tuple[DamagedRange, ...]:
    """Join damaged ranges that overlap or touch, if they have the same reason. The result is sorted.

    It has at most `most`: the last one then reaches to the end of all others.
    """
    merged: list[DamagedRange] = []
    for one in sorted(ranges, key=lambda r: (r.from_us, r.to_us)):
        last = merged[-1] if merged else None
        if last is not None and one.reason == last.reason and one.from_us <= last.to_us + _TOUCH_US:
            merged[-1] = replace(last, to_us=max(last.to_us, one.to_us))
        else:
            merged.append(one)
    if most is not None and len(merged) > most:
        rest = merged[most - 1 :]
        merged[most - 1 :] = [replace(rest[0], to_us=max(one.to_us for one in rest))]
    return tuple(merged)


def damaged_within(ranges: Iterable[DamagedRange], asked: Range) -> tuple[DamagedRange, ...]:
    """What of damaged ranges lies in a range of time; at most `MOST_DAMAGED`."""
    found = [one for one in ranges if one.from_us < asked.to_us and one.to_us > asked.from_us]
    return merge_damaged(
        (replace(one, from_us=max(one.from_us, asked.from_us), to_us=min(one.to_us, asked.to_us)) for one in found),
        MOST_DAMAGED,
    )


def add_range(held: list[Range], from_us: int, to_us: int) -> None:
    """Add a range to others, to the last of them if it continues that; not if it is empty."""
    if held and held[-1].from_us <= from_us <= held[-1].to_us:
        held[-1] = Range(held[-1].from_us, max(held[-1].to_us, to_us))
    elif from_us < to_us:
        held.append(Range(from_us, to_us))
