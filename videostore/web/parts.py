"""Parts: where players can enter a segment, and which bytes of its file they need from there."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from videostore.base.tasks import off_loop
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.store.viewing import SegmentKey, ViewedSegment

_REMEMBERED = 1000
"""Segments whose parts are kept in memory: 5 KB each, and eight hours of a recording."""
_WRITTEN = 10
"""One is open, or a few of runs that overlap."""
_PATIENCE_S = 10.0


class Part(NamedTuple):
    """Some bytes of a segment, and when what they hold was captured."""

    start_us: int
    """Of the frame that is decoded first: players put that at the beginning of a part, also with B frames."""
    end_us: int
    begin_byte: int
    end_byte: int
    keyed: bool
    """Whether a player can begin with it."""
    early_us: int = 0
    """How long before `start_us` the first of its frames is shown."""

    @property
    def shown_us(self) -> int:
        """When the first of its frames is shown."""
        return self.start_us - self.early_us


@dataclass(frozen=True, slots=True)
class PartTable:
    """The parts of a segment, in order."""

    header_bytes: int
    """What a player needs of the file before any part: its beginning, up to here."""
    parts: tuple[Part, ...]
    leading: int = 0
    """How many of the first parts hold frames of the segment before."""
    settled_us: int = 0
    """From here on the next file may hold frames of this segment."""


class PartTables:
    """Reads where the parts of segments are, and remembers it. A closed segment never changes."""

    def __init__(self) -> None:
        self._known: OrderedDict[SegmentKey, PartTable] = OrderedDict()
        self._written: OrderedDict[SegmentKey, PartTable] = OrderedDict()
        """Of the last segments that were open, as they were read last."""

    def known(self, key: SegmentKey) -> PartTable | None:
        """The parts of a segment, if they are remembered."""
        if (table := self._known.get(key)) is not None:
            self._known.move_to_end(key)
        return table

    def so_far(self, key: SegmentKey) -> PartTable | None:
        """The first parts of a segment, as it was when it was read last, if they are remembered."""
        return self.known(key) or self._written.get(key)

    async def read(self, segment: ViewedSegment) -> PartTable | None:
        """The parts of a segment; None if it has none, or they cannot be read at the moment."""
        try:
            return await self.read_now(segment)
        except OSError:
            return None

    async def read_now(self, segment: ViewedSegment) -> PartTable | None:
        """The parts of a segment; None if it has none: it is of another program, damaged or gone.

        Raises:
            OSError: it cannot be read at the moment.
        """
        if segment.content is not None:
            return _keep(self._written, segment.key, table_of(segment.content), _WRITTEN)
        if segment.key.run_us is None:
            return None
        if (table := self.known(segment.key)) is not None:
            return table
        try:
            table = table_of(await off_loop(read_fragments, segment.path))
        except (NotOursError, FileNotFoundError):
            return None
        return _keep(self._known, segment.key, table, _REMEMBERED)


class Patience:
    """Waits for a segment that cannot be read at the moment, but not for ever: a bad disk may never read it."""

    def __init__(self) -> None:
        self._unread: SegmentKey | None = None
        self._since = 0.0

    def waits_for(self, key: SegmentKey) -> bool:
        """Whether to wait for a segment that cannot be read now. One at a time."""
        if key != self._unread:
            self._unread, self._since = key, time.monotonic()
        return time.monotonic() - self._since < _PATIENCE_S


def _keep(tables: OrderedDict[SegmentKey, PartTable], key: SegmentKey, table: PartTable, most: int) -> PartTable:
    tables[key] = table
    tables.move_to_end(key)
    if len(tables) > most:
        tables.popitem(last=False)
    return table


def table_of(content: FragmentedFile) -> PartTable:
    """The parts of a segment's content: one for each fragment."""
    parts: list[Part] = []
    for one in content.fragments:
        start_us, end_us = one.times_us[0], one.end_us
        if parts and parts[-1].end_byte == one.begin_byte:
            if one.is_keyed or not content.is_reordered:
                if parts[-1].start_us < start_us:
                    parts[-1] = parts[-1]._replace(end_us=start_us)
            else:  # what it begins with may be shown much later, or earlier, than it is decoded
                start_us = parts[-1].end_us
        if content.is_reordered:  # the next one may hold frames that are shown before the last one here
            end_us = start_us + one.decoded_until_us - (one.decoded_us or one.times_us)[0]
        parts.append(Part(start_us, end_us, one.begin_byte, one.end_byte, one.is_keyed, start_us - one.first_us))
    leading = [n for n, one in enumerate(content.fragments, 1) if one.first_us < content.start_us]
    may_lend = content.codec == "hevc" and content.is_reordered
    settled_us = content.times_us[-1] + 1 if may_lend else content.end_us
    return PartTable(content.header_bytes, tuple(parts), max(leading, default=0), settled_us)


def keyed_parts(table: PartTable) -> tuple[Part, ...]:
    """The parts of a segment, each with those behind it in which no player can begin."""
    joined: list[Part] = []
    for one in table.parts:
        if joined and not one.keyed and joined[-1].end_byte == one.begin_byte:
            last = joined[-1]
            early_us = max(last.early_us, last.start_us - one.shown_us)
            joined[-1] = last._replace(end_us=one.end_us, end_byte=one.end_byte, early_us=early_us)
        else:
            joined.append(one)
    return tuple(joined)


def shown_before(parts: Sequence[Part], to_us: int) -> Sequence[Part]:
    """The first of some parts, with all that players need for the frames that are shown before a time."""
    return parts[: max((number for number, one in enumerate(parts, 1) if one.shown_us < to_us), default=0)]
