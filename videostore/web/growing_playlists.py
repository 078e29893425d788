"""Playlists of a range whose end is recorded later, or never.

A number must never be that of another piece than before, whatever is read, closed or deleted meanwhile. So it is
decided once, and told by its address, from where on a playlist has all parts, and how many whole segments are before.
What is left out since, because the quota took it or the playlist became too long, is remembered of the last addresses.
One that has been forgotten counts from the beginning, which gives the same numbers, as long as that is not too long
ago: then it has numbers of the clock, which are higher than those before, and players go on.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from videostore.base.ranges import Range
from videostore.store.viewing import SegmentKey, ViewedSegment, Viewing
from videostore.web.borders import lent_by, with_borders
from videostore.web.codecs import Codecs
from videostore.web.listed_pieces import ListedPieces, Pieces
from videostore.web.parts import PartTable, PartTables, shown_before
from videostore.web.playlists import Entry, date_time, leading_to, longest_s, playlist, whole_entry
from videostore.web.range_playlists import FINE_US, MOST_SEGMENTS, TABLES_READ
from videostore.web.variant import variant_of

_MOST_ENTRIES = 20_000
"""Five hours by the second. Without its oldest pieces a playlist is still one that a player follows."""
_MOST_DIVIDED = 700
"""Segments of a playlist that are in it by their parts. More tables than that would not stay in memory."""
_SPARE_SEGMENTS = 500
"""Room to grow of one that begins later than asked: four hours of 30 s."""
_REMEMBERED = 50
_NUMBERS_PER_S = 20
"""More than pieces come."""
_ENDLESS_US = 1 << 62


@dataclass(frozen=True, slots=True)
class Growing:
    """What the address of a playlist that grows tells besides its range."""

    parts_from_us: int
    """Segments that begin then or later are in it by their parts."""
    wholes: int
    """How many others were before them when its address was made."""


Address = tuple[int, int | None, Growing]


class GrowingPlaylists:
    """Writes those of one recorder."""

    def __init__(self, viewing: Viewing, tables: PartTables) -> None:
        self._viewing = viewing
        self._tables = tables
        self._listed: OrderedDict[Address, ListedPieces] = OrderedDict()
        self._counting = asyncio.Lock()
        self._codecs = Codecs()

    async def lead(self, from_us: int, to_us: int | None, *, divided: bool = False) -> str:
        """A playlist that leads to the one that grows. If that would be too long, it begins later, and this says so.

        `divided` segments are all in it by their parts, and not only the newest ones.
        """
        begin_us = await self._latest_begin_us(from_us, to_us, MOST_SEGMENTS - _SPARE_SEGMENTS)
        segments = await self._segments(begin_us, to_us)
        newest_us = segments[-1].segment.end_us if segments else begin_us
        near = [one.segment.start_us for one in segments if one.segment.end_us > newest_us - FINE_US]
        parts_from_us = 0 if divided else min(near[-TABLES_READ:], default=newest_us)
        wholes = sum(one.segment.start_us < parts_from_us for one in segments)
        end = "" if to_us is None else f"&to_us={to_us}"
        address = f"index.m3u8?from_us={begin_us}{end}&parts_us={parts_from_us}&wholes={wholes}"
        limit = f"a playlist that grows has at most {MOST_SEGMENTS} segments"
        note = f"Begins at {date_time(begin_us)} and not before: {limit}." if begin_us != from_us else ""
        variant = variant_of([one.segment for one in segments])
        return leading_to(address, variant.attributes(await self._codecs.of(segments)), note)

    async def playlist(
        self, from_us: int, to_us: int | None, growing: Growing, *, ended: bool, with_headers: bool = False
    ) -> str:
        """One that grows. If it has become too long, its oldest pieces are left out, and counted."""
        async with self._counting:  # what one request leaves out another one must not count again
            return await self._playlist(from_us, to_us, growing, ended=ended, with_headers=with_headers)

    async def _playlist(
        self, from_us: int, to_us: int | None, growing: Growing, *, ended: bool, with_headers: bool
    ) -> str:
        address = from_us, to_us, growing
        listed = self._listed.get(address)
        begin_us = from_us if listed is None or listed.begin_us is None else listed.begin_us
        late_us = await self._latest_begin_us(begin_us, to_us, MOST_SEGMENTS)
        segments = await self._segments(late_us, to_us)
        missing = None if listed is None else self._missing(listed, segments)
        if listed is not None:
            segments = listed.following(segments, waits=missing is not None)
        divided = [one for one in segments if one.segment.start_us >= growing.parts_from_us]
        if len(divided) > _MOST_DIVIDED:
            segments = divided[-_MOST_DIVIDED:]
        is_cut = late_us != begin_us or len(divided) > _MOST_DIVIDED
        if listed is None:
            gone = max(0, growing.wholes - (len(segments) - len(divided)))  # the quota takes the oldest
            number = int(time.time() * _NUMBERS_PER_S)
            listed = ListedPieces(number, number) if is_cut else ListedPieces(gone, gone)
        asked = Range(from_us, _end(to_us))
        found, is_all = await self._pieces(segments, asked, growing, listed)
        if missing is not None and is_all:
            found.append(Pieces(missing[0], _all_within(*missing, asked)))
            is_all = False
        entries = listed.take(found)
        first = max(0, len(entries) - _MOST_ENTRIES)
        listed.target_s = max(listed.target_s, longest_s(entries[first:]))
        text = playlist(
            entries[first:],
            ended=ended and is_all,
            grew=True,
            target_s=listed.target_s,
            sequence=listed.sequence + first,
            discontinuities=listed.discontinuities + _changes(entries[: first + 1]),
            with_headers=with_headers,
        )
        if first:
            listed.leave_out(entries[first].key)
        self._remember(address, listed)
        return text

    def _remember(self, address: Address, listed: ListedPieces) -> None:
        self._listed[address] = listed
        self._listed.move_to_end(address)
        if len(self._listed) > _REMEMBERED:
            self._listed.popitem(last=False)

    async def _latest_begin_us(self, from_us: int, to_us: int | None, most: int) -> int:
        """Where a playlist begins that has at most so many segments, the newest ones."""
        newest_us = await self._viewing.start_of_newest_us(most, _end(to_us))
        return from_us if newest_us is None else max(from_us, newest_us)

    async def _segments(self, from_us: int, to_us: int | None) -> list[ViewedSegment]:
        """Those of a range, and at its ends those that hold frames of it or are needed for them."""
        asked = Range(from_us, _end(to_us))
        found = await self._viewing.segments(asked.from_us, asked.to_us, MOST_SEGMENTS)
        found, lender = await with_borders(self._viewing, self._tables, found, asked)
        return found if lender is None else [*found, lender]

    def _missing(self, listed: ListedPieces, segments: Sequence[ViewedSegment]) -> tuple[SegmentKey, PartTable] | None:
        """The last segment that was listed, and what is known of it, if it is not there at the moment: that of one that
        is written may not be readable."""
        key = listed.last
        if key is None or any(one.key == key for one in segments):
            return None
        table = self._tables.so_far(key)
        return None if table is None or not listed.patience.waits_for(key) else (key, table)

    async def _pieces(
        self, segments: Sequence[ViewedSegment], asked: Range, growing: Growing, listed: ListedPieces
    ) -> tuple[list[Pieces], bool]:
        """The pieces of segments, and whether these are all that are there."""
        found: list[Pieces] = []
        for one in segments:
            if one.segment.start_us < growing.parts_from_us or listed.is_whole(one.key):
                found.append(Pieces(one.key, [whole_entry(one)]))
                continue
            is_read = True
            try:
                table = await self._tables.read_now(one)
            except OSError:  # what is behind it must wait, or it would get the numbers of its pieces
                table = None
                is_read = not (listed.may_grow(one.key) and listed.patience.waits_for(one.key))
            table = table or self._tables.so_far(one.key)
            if table is not None:
                found.append(Pieces(one.key, _all_within(one.key, table, asked)))
            elif is_read and one.segment.start_us < asked.to_us:
                found.append(Pieces(one.key, [whole_entry(one)]))
            if not is_read:
                return found, False
        return found, True


def _end(to_us: int | None) -> int:
    return _ENDLESS_US if to_us is None else to_us


def _changes(entries: Sequence[Entry]) -> int:
    return sum(one.key != other.key for one, other in itertools.pairwise(entries))


def _all_within(key: SegmentKey, table: PartTable, asked: Range) -> list[Entry]:
    if key.start_us >= asked.to_us:
        return lent_by(key, table)
    begin_us = max((part.start_us for part in table.parts if part.keyed and part.start_us <= asked.from_us), default=0)
    parts = [part for part in shown_before(table.parts, asked.to_us) if part.start_us >= begin_us]
    return [Entry(key, table.header_bytes, part) for part in parts]
