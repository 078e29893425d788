"""What the timeline of an index becomes when it is read, and when segments are added or removed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence

from videostore.media.segment import Segment
from videostore.storage.index import Index
from videostore.storage.succession import Joiner, after_adding, after_removing
from videostore.storage.timeline import Timeline


async def read_timeline(index: Index, logger: logging.Logger) -> Timeline:
    """The timeline of all of an index, or of as much of it as can be read."""
    for _ in range(2):
        timeline = Timeline()
        try:
            joiner = Joiner()
            async for batch in index.spans():
                for span in batch:
                    timeline.add(span.start_us, span.end_us, span.size_bytes)
                    if (between := joiner.join(span)) is not None:
                        timeline.join((), [between])
            break
        except (sqlite3.Error, ValueError) as error:  # damaged, or replaced in the meantime
            logger.error("The index cannot be read completely: %s. Rebuilding the rest.", error)
    return timeline


async def add_segments(timeline: Timeline, index: Index, added: Sequence[Segment]) -> None:
    """Take in segments that were added to the index."""
    for one in added:
        timeline.add(one.start_us, one.end_us, one.size_bytes)
    change = await after_adding(index, added)
    timeline.join(change.before, change.after)


async def remove_segments(timeline: Timeline, index: Index, gone: Sequence[Segment]) -> None:
    """Remove neighbouring segments that are no longer in the index."""
    change = await after_removing(index, gone)
    timeline.remove(
        [(one.start_us, one.end_us, one.size_bytes) for one in gone],
        [(one.start_us, one.end_us) for one in change.near],
        change.before,
        change.after,
    )
