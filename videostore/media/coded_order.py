"""The order in which the frames of a file are decoded, where it differs from the order in which they are shown.

With B frames, a frame is decoded after one that is shown later. Of such video only certain stretches can be copied.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One frame of a file. Times are in microseconds from the first one that is shown."""

    shown_us: int
    decoded_us: int
    keyframe: bool
    fresh: bool
    """Whether it is a keyframe that can follow the frames of another encoder."""


@dataclass(frozen=True, slots=True)
class Border:
    """A keyframe that divides a file: all frames that are decoded before it are shown before it, the others after. Only
    frames of an open GOP are shown between the two."""

    shown_us: int
    decoded_us: int
    fresh: bool
    is_open: bool = False
    """Whether frames that are shown before it are decoded behind it: they need frames before it (an open GOP)."""

    @property
    def delay_us(self) -> int:
        """How long before it is shown it is decoded."""
        return self.shown_us - self.decoded_us


@dataclass(frozen=True, slots=True)
class Leading:
    """The frames of a file that are shown before its first one: it begins with an open GOP.

    They cannot be decoded without the file before it, to whose time they belong. Times are UTC, in microseconds.
    """

    shown_us: tuple[int, ...]
    """Sorted."""
    decoded_until_us: int | None
    """When the first frame behind them is decoded, by the clock of the capture times; None if there is none."""


def is_delayed(frames: Sequence[CodedFrame]) -> bool:
    """Whether frames are decoded at another time, and perhaps in another order, than they are shown."""
    return any(one.shown_us != one.decoded_us for one in frames)


def borders(frames: Sequence[CodedFrame]) -> list[Border]:
    """The keyframes that divide a file, in their order. Frames are in the order in which they are decoded."""
    return [one for one in entries(frames) if not one.is_open]


def entries(frames: Sequence[CodedFrame]) -> list[Border]:
    """The keyframes from which on all frames that are shown later can be decoded, in their order: also those of open
    GOPs."""
    before = itertools.accumulate((one.shown_us for one in frames), max)
    after = list(itertools.accumulate((one.shown_us for one in reversed(frames)), min))[::-1]
    found, latest_us = [], -1
    for frame, earliest_us, shown_until_us in zip(frames, after, before, strict=True):
        if frame.keyframe and latest_us < min(frame.shown_us, earliest_us):
            found.append(Border(frame.shown_us, frame.decoded_us, frame.fresh, earliest_us < frame.shown_us))
        latest_us = shown_until_us
    return found


def copies_until(frames: Sequence[CodedFrame], to_us: int) -> int | None:
    """When decoding must stop, so that exactly the frames before `to_us` are shown: where the next one is decoded.

    None if one of those frames needs one that is shown later.
    """
    count = sum(one.shown_us < to_us for one in frames)
    if any(one.shown_us >= to_us for one in frames[:count]):
        return None
    return frames[count].decoded_us if count < len(frames) else frames[-1].decoded_us + 1
