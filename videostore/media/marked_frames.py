"""Finds the marked frames of a segment: which stretches of it came damaged. It reads the beginning of each frame."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import DamagedRange, merge_damaged
from videostore.media.damage_mark import DamageMark, is_slice, parse_mark
from videostore.media.decoder_setup import NoSetupError, read_setup
from videostore.media.fragmented_file import FragmentedFile
from videostore.media.nal_units import length_bytes

MOST_STRETCHES = 100
"""Of a segment, so many damaged stretches are told apart."""

_HEAD_BYTES = 96
"""Enough for the mark of a frame with nothing before it but a delimiter."""
_MOST_UNITS = 64
"""As many units may come before the picture."""
_LONGEST_PAST_US = 120 * US_PER_SECOND
"""A mark that speaks of an earlier time is not believed: damage ends at the next keyframe."""


def read_damage(path: Path, content: FragmentedFile) -> tuple[DamagedRange, ...]:
    """The stretches of a segment whose frames are marked, in order; a stretch may begin before the segment. Blocking:
    a small read for each frame.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        lengths = length_bytes(content.codec, read_setup(path).config)
    except NoSetupError:
        lengths = None
    if lengths is None:
        return ()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return merge_damaged(_stretches(descriptor, content, lengths), MOST_STRETCHES)
    finally:
        os.close(descriptor)


def _stretches(descriptor: int, content: FragmentedFile, lengths: int) -> Iterator[DamagedRange]:
    open_from_us: int | None = None
    reason = ""
    for time_us, at, size in _frames(content):
        mark = _mark_of(descriptor, at, size, content.codec, lengths)
        if mark is not None:
            since_us = min(time_us, mark.since_us) if mark.since_us > time_us - _LONGEST_PAST_US else time_us
            if open_from_us is not None and mark.reason != reason:
                yield DamagedRange(open_from_us, max(since_us, open_from_us + 1), reason)
                open_from_us = None
            open_from_us = since_us if open_from_us is None else min(open_from_us, since_us)
            reason = mark.reason
        elif open_from_us is not None:
            yield DamagedRange(open_from_us, max(time_us, open_from_us + 1), reason)
            open_from_us = None
    if open_from_us is not None:
        yield DamagedRange(open_from_us, max(content.end_us, open_from_us + 1), reason)


def _frames(content: FragmentedFile) -> Iterator[tuple[int, int, int]]:
    """The capture time of each frame, where it is in the file, and its size, in the order of decoding."""
    for fragment in content.fragments:
        at = fragment.body_byte
        for time_us, size in zip(fragment.times_us, fragment.sizes, strict=False):
            yield time_us, at, size
            at += size


def _mark_of(descriptor: int, begin: int, size: int, codec: str, lengths: int) -> DamageMark | None:
    """The mark of a frame; None if it has none before its picture."""
    at, end = begin, begin + size
    data, data_at = b"", begin
    for _ in range(_MOST_UNITS):
        if at + lengths >= end:
            return None
        if at + _HEAD_BYTES > data_at + len(data):
            data, data_at = os.pread(descriptor, min(2 * _HEAD_BYTES, end - at), at), at
        offset = at - data_at
        unit_bytes = int.from_bytes(data[offset : offset + lengths], "big")
        unit = data[offset + lengths : offset + lengths + unit_bytes]
        if not unit or is_slice(codec, unit[0]):
            return None
        if (mark := parse_mark(codec, unit)) is not None:
            return mark
        at += lengths + unit_bytes
    return None
