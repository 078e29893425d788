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
    """A keyframe that divides a file: all frames that are decoded before it are shown before it, the others after."""

    shown_us: int
    decoded_us: int
    fresh: bool

    @property
    def delay_us(self) -> int:
        """How long before it is shown it is decoded."""
        return self.shown_us - self.decoded_us


def is_delayed(frames: Sequence[CodedFrame]) -> bool:
    """Whether frames are decoded at another time, and perhaps in another order, than they are shown."""
    return any(one.shown_us != one.decoded_us for one in frames)


def borders(frames: Sequence[CodedFrame]) -> list[Border]:
    """The keyframes that divide a file, in their order. Frames are in the order in which they are decoded."""
    before = itertools.accumulate((one.shown_us for one in frames), max)
    after = list(itertools.accumulate((one.shown_us for one in reversed(frames)), min))[::-1]
    found, latest_us = [], -1
    for frame, earliest_us, shown_until_us in zip(frames, after, before, strict=True):
        if frame.keyframe and latest_us < frame.shown_us == earliest_us:
            found.append(Border(frame.shown_us, frame.decoded_us, frame.fresh))
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
