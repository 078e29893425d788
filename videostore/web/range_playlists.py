"""Playlists of a range of which all is recorded.

One names the parts of the segments near the place where playing begins, and the others as a whole.
"""

from __future__ import annotations

from dataclasses import replace

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.clips.borrowed_frames import runs_on
from videostore.store.viewing import ViewedSegment, Viewing
from videostore.web.borders import borrowed, with_borders
from videostore.web.parts import PartTable, PartTables, keyed_parts, shown_before
from videostore.web.playlists import Entry, playlist, whole_entry

MOST_SEGMENTS = 10_000
"""Of one playlist: three days of segments of 30 s, and 2 MB of text."""
TABLES_READ = 40
"""Segments whose parts are read for one playlist, if they are not known."""
FINE_US = 600 * US_PER_SECOND
"""They are that near to the place where playing begins."""


async def whole_playlist(
    viewing: Viewing, tables: PartTables, asked: Range, at_us: int, *, without_gaps: bool = False
) -> str:
    """The playlist of a range of which all is recorded; `at_us` is where playing begins. `without_gaps` is for a player
    that gets all times on one clock.

    Raises:
        RequestError: it would be too long.
    """
    segments, lender = await with_borders(viewing, tables, await _segments(viewing, asked), asked)
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
    entries += await borrowed(tables, lender)
    return playlist(entries, ended=True, without_gaps=without_gaps)


async def simple_playlist(viewing: Viewing, tables: PartTables, asked: Range) -> str:
    """The same of whole segments, each with its header, for players that take one header at most.

    Raises:
        RequestError: it would be too long.
    """
    segments, lender = await with_borders(viewing, tables, await _segments(viewing, asked), asked)
    entries = [*map(whole_entry, segments), *await borrowed(tables, lender)]
    return playlist(entries, ended=True, with_headers=True)


async def _segments(viewing: Viewing, asked: Range) -> list[ViewedSegment]:
    segments = await viewing.segments(asked.from_us, asked.to_us, MOST_SEGMENTS + 1)
    if len(segments) > MOST_SEGMENTS:
        to_us = min(asked.to_us, segments[-1].segment.end_us)
        raise RequestError("playlist-too-long", from_us=asked.from_us, to_us=to_us, limit=MOST_SEGMENTS)
    return segments


def _within(one: ViewedSegment, table: PartTable | None, asked: Range, end_us: int | None) -> list[Entry]:
    """The pieces of a segment in a range; it ends at `end_us`, or as its file says."""
    whole = whole_entry(one)
    parts = [whole.part] if table is None else list(keyed_parts(table))
    if parts:
        parts[-1] = parts[-1]._replace(end_us=max(end_us or one.segment.end_us, parts[-1].start_us + 1))
    header_bytes = None if table is None else table.header_bytes
    found = [part for part in shown_before(parts, asked.to_us) if part.end_us > asked.from_us]
    return [replace(whole, header_bytes=header_bytes, part=part) for part in found]


def _distance_us(one: ViewedSegment, at_us: int) -> int:
    return max(0, one.segment.start_us - at_us, at_us - one.segment.end_us)
