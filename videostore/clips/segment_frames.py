"""Segment frames: the frames of a segment's time, wherever they are stored.

What counts, lists or looks for frames asks here. The frames of a file are others: where a segment begins with an open
GOP, the last ones of the segment before are in its file, and are no frames of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path

from videostore.clips.borrowed_frames import borrowed_frames
from videostore.clips.segment_order import sort_segments
from videostore.media.segment import Segment, UnreadableError, frame_times

Place = tuple[Segment, Path]


def followed(found: Sequence[Place]) -> Iterator[tuple[Segment, Path, Place | None]]:
    """Segments in the order of clips, each with the next one."""
    ordered = sort_segments(found)
    for (segment, path), following in zip_longest(ordered, islice(ordered, 1, None)):
        yield segment, path, following


def segment_frames(segment: Segment, path: Path, following: Place | None) -> list[int]:
    """Capture times of the frames that a segment shows, in order; none of one that is gone or cannot be read. Blocking.

    Of an open segment these are the frames up to which nothing can follow any more.
    """
    try:
        times = frame_times(segment, path)
    except (UnreadableError, OSError):
        return []
    until_us = times.complete_until_us
    found = times.all_us if until_us is None else [one for one in times.all_us if one < until_us]
    borrowed = borrowed_frames(segment, times, following) if following is not None else None
    return found if borrowed is None else [*found, *borrowed.shown_us]
