"""Playlists of a range of which all is recorded.

One names the parts of the segments near the place where playing begins, and the others as a whole.
"""

from __future__ import annotations

from dataclasses import replace

from videostore.base.constants import NEIGHBOUR_US, US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.clips.borrowed_frames import runs_on
from videostore.store.viewing import ViewedSegment, Viewing
from videostore.web.parts import PartTable, PartTables, keyed_parts
from videostore.web.playlists import Entry, playlist, whole_entry

MOST_SEGMENTS = 10_000
"""Of one playlist: three days of segments of 30 s, and 2 MB of text."""
TABLES_READ = 40
"""Segments whose parts are read for one playlist, if they are not known."""
FINE_US = 600 * US_PER_SECOND
"""They are that near to the place where playing begins."""


async def whole_playlist(viewing: Viewing, tables: PartTables, asked: Range, at_us: int) -> str:
    """The playlist of a range of which all is recorded; `at_us` is where playing begins.

    Raises:
        RequestError: it would be too long.
    """
    segments, lender = await _with_borders(viewing, await _segments(viewing, asked), asked)
    near = sorted(segments, key=lambda one: _distance_us(one, at_us))
    read = {one.key for one in near[:TABLES_READ] if _distance_us(one, at_us) <= FINE_US}
    entries: list[Entry] = []
    for one, following in zip(segments, [*segments, lender][1:], strict=True):
        table = tables.known(one.key)
        if table is None and (one.is_open or one.key in read):
            table = await tables.read(one)
        # How long the last frame of a file is shown is a guess, and the next file may hold frames before its first one.
        goes_on = following is not None and runs_on(one.segment, following.segment)
        entries += _within(one, table, asked, following.segment.start_us if following is not None and goes_on else None)
    if lender is not None and (table := await tables.read(lender)) is not None:
        entries += [Entry(lender.key, table.header_bytes, part) for part in table.parts[: table.leading]]
    return playlist(entries, ended=True)


async def simple_playlist(viewing: Viewing, asked: Range) -> str:
    """The same of whole segments, each with its header, for players that take one header at most.

    Raises:
        RequestError: it would be too long.
    """
    return playlist([whole_entry(one) for one in await _segments(viewing, asked)], ended=True, with_headers=True)


async def _segments(viewing: Viewing, asked: Range) -> list[ViewedSegment]:
    segments = await viewing.segments(asked.from_us, asked.to_us, MOST_SEGMENTS + 1)
    if len(segments) > MOST_SEGMENTS:
        to_us = min(asked.to_us, segments[-1].segment.end_us)
        raise RequestError("playlist-too-long", from_us=asked.from_us, to_us=to_us, limit=MOST_SEGMENTS)
    return segments


async def _with_borders(
    viewing: Viewing, segments: list[ViewedSegment], asked: Range
) -> tuple[list[ViewedSegment], ViewedSegment | None]:
    """The segments of a range with the one before them, if its last frames are in the file of the first one; and the
    one behind them, if it may hold the last frames of the range."""
    before = [one for one in await viewing.segments(asked.from_us - NEIGHBOUR_US, asked.from_us) if one not in segments]
    after = await viewing.segments(asked.to_us, asked.to_us + NEIGHBOUR_US)
    after = [one for one in after if one.segment.start_us >= asked.to_us]
    following = [*segments, *after][:1]
    if following and following[0].segment.start_us > asked.from_us:
        segments = [*(one for one in before if runs_on(one.segment, following[0].segment)), *segments]
    if not segments or segments[-1].segment.end_us >= asked.to_us:
        return segments, None
    last = segments[-1].segment
    return segments, next((one for one in after if runs_on(last, one.segment)), None)


def _within(one: ViewedSegment, table: PartTable | None, asked: Range, end_us: int | None) -> list[Entry]:
    """The pieces of a segment in a range; it ends at `end_us`, or as its file says."""
    entries = (
        [whole_entry(one)]
        if table is None
        else [Entry(one.key, table.header_bytes, part) for part in keyed_parts(table)]
    )
    if entries and end_us is not None:
        entries[-1] = replace(entries[-1], part=entries[-1].part._replace(end_us=end_us))
    return [entry for entry in entries if entry.part.end_us > asked.from_us and entry.part.start_us < asked.to_us]


def _distance_us(one: ViewedSegment, at_us: int) -> int:
    return max(0, one.segment.start_us - at_us, at_us - one.segment.end_us)
