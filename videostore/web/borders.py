"""Borders: frames of a range that are in the file of another segment.

Where segments begin with open GOPs, the last frames of each are in the file of the next one, and need its own file.
"""

from __future__ import annotations

from collections.abc import Sequence

from videostore.base.constants import NEIGHBOUR_US
from videostore.base.ranges import Range
from videostore.clips.borrowed_frames import runs_on
from videostore.store.viewing import SegmentKey, ViewedSegment, Viewing
from videostore.web.parts import PartTable, PartTables
from videostore.web.playlists import Entry


async def with_borders(
    viewing: Viewing, tables: PartTables, segments: list[ViewedSegment], asked: Range
) -> tuple[list[ViewedSegment], ViewedSegment | None]:
    """The segments of a range with the one before them, if its last frames are in the file of the first one; and the
    one behind them, if it may hold the last frames of the range."""
    after: list[ViewedSegment] = []
    if not segments or await ends_before(tables, segments[-1], asked.to_us):
        found = await viewing.segments(asked.to_us, asked.to_us + NEIGHBOUR_US)
        after = [one for one in found if one.segment.start_us >= asked.to_us]
    following = [*segments, *after][:1]
    if following and following[0].segment.start_us > asked.from_us:
        before = await viewing.segments(asked.from_us - NEIGHBOUR_US, asked.from_us)
        before = [one for one in before if one not in segments and runs_on(one.segment, following[0].segment)]
        segments = [*before, *segments]
    last = segments[-1].segment if segments else None
    return segments, next((one for one in after if last is not None and runs_on(last, one.segment)), None)


async def ends_before(tables: PartTables, one: ViewedSegment, time_us: int) -> bool:
    """Whether the frames before a time need not all be in the file of a segment that overlaps it. Where a file ends is
    a guess: those that the next one holds may come earlier."""
    if one.segment.end_us < time_us or one.segment.codec != "hevc":
        return one.segment.end_us < time_us
    table = await tables.read(one)
    return table is not None and table.settled_us < time_us


async def borrowed(tables: PartTables, one: ViewedSegment | None) -> Sequence[Entry]:
    """The pieces of a segment, if there is one, that hold frames of the one before it."""
    table = await tables.read(one) if one is not None else None
    return () if one is None or table is None else lent_by(one.key, table)


def lent_by(key: SegmentKey, table: PartTable) -> list[Entry]:
    """The same of a segment whose parts are known."""
    return [Entry(key, table.header_bytes, part) for part in table.parts[: table.leading]]
