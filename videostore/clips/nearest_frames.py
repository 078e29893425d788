"""The frames before and after a range in which none was captured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from videostore.base.ranges import Range
from videostore.clips.borrowed_frames import runs_on
from videostore.clips.segment_frames import followed, segment_frames
from videostore.media.segment import Segment


def nearest_frames(found: Sequence[tuple[Segment, Path]], asked: Range) -> tuple[int | None, int | None]:
    """Capture times of the last frame before a range and of the first one after it, of those that can be read.

    Blocking: reads the headers of the segments before the range until a frame is found.
    """
    before_us: int | None = None
    after_us: int | None = None
    for segment, path, following in sorted(followed(found), key=lambda one: one[0].start_us, reverse=True):
        if segment.start_us >= asked.to_us:  # it begins with a frame
            after_us = segment.start_us
            continue
        end_us = segment.end_us
        if following is not None and runs_on(segment, following[0]):
            end_us = max(end_us, following[0].start_us)
        if before_us is not None and end_us <= before_us:
            continue
        for time_us in segment_frames(segment, path, following):
            if time_us < asked.from_us:
                before_us = time_us if before_us is None else max(before_us, time_us)
            elif time_us >= asked.to_us:
                after_us = time_us if after_us is None else min(after_us, time_us)
    return before_us, after_us
