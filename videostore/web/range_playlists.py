"""Playlists of a range: what is recorded of it now, and, if it goes on, what will be.

One that is complete names the parts of the segments near the place where playing begins, and the others as a whole. One
that grows must never number a piece otherwise than before, whatever is read, closed or deleted meanwhile: so it is
decided once, and told by its address, from where on it has all parts, and how many whole segments are before.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.clips.borrowed_frames import runs_on
from videostore.store.viewing import ViewedSegment, Viewing
from videostore.web.parts import Part, PartTable, PartTables, keyed_parts
from videostore.web.playlists import Entry, leading_to, playlist

MOST_SEGMENTS = 10_000
"""Of one playlist: three days of segments of 30 s, and 2 MB of text."""
_MOST_ENTRIES = 20_000
"""Of one that grows: five hours by the second. Without its oldest ones it is still one that a player follows."""
_TABLES_READ = 40
"""Segments whose parts are read for one playlist, if they are not known."""
_FINE_US = 600 * US_PER_SECOND
"""They are that near to the place where playing begins."""
_USUAL_BITS = 2_000_000
_ENDLESS_US = 1 << 62


@dataclass(frozen=True, slots=True)
class Growing:
    """What the address of a playlist that grows tells besides its range."""

    parts_from_us: int
    """Segments that begin then or later are in it by their parts."""
    wholes: int
    """How many others were before them when its address was made."""


async def whole_playlist(viewing: Viewing, tables: PartTables, asked: Range, at_us: int) -> str:
    """The playlist of a range of which all is recorded; `at_us` is where playing begins.

    Raises:
        RequestError: it would be too long.
    """
    segments = await _segments(viewing, asked)
    near = sorted(segments, key=lambda one: _distance_us(one, at_us))
    read = {one.key for one in near[:_TABLES_READ] if _distance_us(one, at_us) <= _FINE_US}
    entries: list[Entry] = []
    for one, following in itertools.zip_longest(segments, segments[1:]):
        table = tables.known(one.key)
        if table is None and (one.is_open or one.key in read):
            table = await tables.read(one)
        # How long the last frame of a file is shown is a guess, and the next file may hold frames before its first one.
        goes_on = following is not None and runs_on(one.segment, following.segment)
        entries += _within(one, table, asked, following.segment.start_us if following is not None and goes_on else None)
    return playlist(entries, ended=True)


async def simple_playlist(viewing: Viewing, asked: Range) -> str:
    """The same of whole segments, each with its header, for players that take one header at most.

    Raises:
        RequestError: it would be too long.
    """
    return playlist([_whole(one) for one in await _segments(viewing, asked)], ended=True, with_headers=True)


async def lead_to_growing(viewing: Viewing, from_us: int, to_us: int | None) -> str:
    """A playlist that leads to the one that grows."""
    asked = Range(from_us, _ENDLESS_US if to_us is None else to_us)
    segments = await _segments(viewing, asked)
    newest_us = segments[-1].segment.end_us if segments else from_us
    near = [one.segment.start_us for one in segments if one.segment.end_us > newest_us - _FINE_US]
    parts_from_us = min(near[-_TABLES_READ:], default=newest_us)
    wholes = sum(one.segment.start_us < parts_from_us for one in segments)
    end = "" if to_us is None else f"&to_us={to_us}"
    address = f"index.m3u8?from_us={from_us}{end}&parts_us={parts_from_us}&wholes={wholes}"
    return leading_to(address, _bits_per_second(segments))


async def growing_playlist(
    viewing: Viewing,
    tables: PartTables,
    from_us: int,
    to_us: int | None,
    growing: Growing,
    *,
    ended: bool,
    with_headers: bool = False,
) -> str:
    """The playlist of a range whose end is recorded later, or never.

    If it has become too long, its oldest pieces are left out: a player goes on with those that come.

    Raises:
        RequestError: it has become much too long.
    """
    asked = Range(from_us, _ENDLESS_US if to_us is None else to_us)
    segments = await _segments(viewing, asked)
    wholes = [one for one in segments if one.segment.start_us < growing.parts_from_us]
    entries = [_whole(one) for one in wholes]
    for one in segments[len(wholes) :]:
        table = await tables.read(one)
        entries += [_whole(one)] if table is None else _all_within(one, table, asked)
    gone = max(0, growing.wholes - len(wholes))  # the quota takes the oldest
    first = max(0, len(entries) - _MOST_ENTRIES)
    changes = sum(one.key != other.key for one, other in itertools.pairwise(entries[: first + 1]))
    return playlist(
        entries[first:],
        ended=ended,
        sequence=gone + first,
        discontinuities=gone + changes,
        with_headers=with_headers,
    )


async def _segments(viewing: Viewing, asked: Range) -> list[ViewedSegment]:
    segments = await viewing.segments(asked.from_us, asked.to_us, MOST_SEGMENTS + 1)
    if len(segments) > MOST_SEGMENTS:
        to_us = min(asked.to_us, segments[-1].segment.end_us)
        raise RequestError("playlist-too-long", from_us=asked.from_us, to_us=to_us, limit=MOST_SEGMENTS)
    return segments


def _within(one: ViewedSegment, table: PartTable | None, asked: Range, end_us: int | None) -> list[Entry]:
    """The pieces of a segment in a range; it ends at `end_us`, or as its file says."""
    entries = (
        [_whole(one)] if table is None else [Entry(one.key, table.header_bytes, part) for part in keyed_parts(table)]
    )
    if entries and end_us is not None:
        entries[-1] = replace(entries[-1], part=entries[-1].part._replace(end_us=end_us))
    return [entry for entry in entries if entry.part.end_us > asked.from_us and entry.part.start_us < asked.to_us]


def _all_within(one: ViewedSegment, table: PartTable, asked: Range) -> list[Entry]:
    begin_us = max((part.start_us for part in table.parts if part.keyed and part.start_us <= asked.from_us), default=0)
    parts = [part for part in table.parts if begin_us <= part.start_us < asked.to_us]
    return [Entry(one.key, table.header_bytes, part) for part in parts]


def _whole(one: ViewedSegment) -> Entry:
    return Entry(one.key, None, Part(one.segment.start_us, one.segment.end_us, 0, one.segment.size_bytes, keyed=True))


def _distance_us(one: ViewedSegment, at_us: int) -> int:
    return max(0, one.segment.start_us - at_us, at_us - one.segment.end_us)


def _bits_per_second(segments: list[ViewedSegment]) -> int:
    last = segments[-1].segment if segments else None
    if last is None or last.duration_us <= 0:
        return _USUAL_BITS
    return last.size_bytes * 8 * US_PER_SECOND // last.duration_us + 1
