"""Parts: where players can enter a segment, and which bytes of its file they need from there."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from videostore.base.tasks import off_loop
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.store.viewing import SegmentKey, ViewedSegment

_REMEMBERED = 1000
"""Segments whose parts are kept in memory: 5 KB each, and eight hours of a recording."""


class Part(NamedTuple):
    """Some bytes of a segment, and when what they hold was captured."""

    start_us: int
    """Of the frame that is decoded first: players put that at the beginning of a part, also with B frames."""
    end_us: int
    begin_byte: int
    end_byte: int
    keyed: bool
    """Whether a player can begin with it."""


@dataclass(frozen=True, slots=True)
class PartTable:
    """The parts of a segment, in order."""

    header_bytes: int
    """What a player needs of the file before any part: its beginning, up to here."""
    parts: tuple[Part, ...]
    leading: int = 0
    """How many of the first parts hold frames of the segment before."""


class PartTables:
    """Reads where the parts of segments are, and remembers it. A closed segment never changes."""

    def __init__(self) -> None:
        self._known: OrderedDict[SegmentKey, PartTable] = OrderedDict()

    def known(self, key: SegmentKey) -> PartTable | None:
        """The parts of a segment, if they are remembered."""
        if (table := self._known.get(key)) is not None:
            self._known.move_to_end(key)
        return table

    async def read(self, segment: ViewedSegment) -> PartTable | None:
        """The parts of a segment; None if it has none: it is of another program, damaged or gone."""
        if segment.content is not None:
            return table_of(segment.content)
        if segment.key.run_us is None:
            return None
        if (table := self.known(segment.key)) is not None:
            return table
        try:
            table = table_of(await off_loop(read_fragments, segment.path))
        except (NotOursError, OSError):
            return None
        self._known[segment.key] = table
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return table


def table_of(content: FragmentedFile) -> PartTable:
    """The parts of a segment's content: one for each fragment."""
    parts = [Part(one.times_us[0], one.end_us, one.begin_byte, one.end_byte, one.is_keyed) for one in content.fragments]
    for number in range(len(parts) - 1):
        one, other = parts[number : number + 2]
        if one.end_byte == other.begin_byte and one.start_us < other.start_us:
            parts[number] = one._replace(end_us=other.start_us)
    if parts:  # with B frames, the frame that is shown last need not be in the last fragment
        parts[-1] = parts[-1]._replace(end_us=content.end_us)
    leading = [n for n, one in enumerate(content.fragments, 1) if one.first_us < content.start_us]
    return PartTable(content.header_bytes, tuple(parts), max(leading, default=0))


def keyed_parts(table: PartTable) -> tuple[Part, ...]:
    """The parts of a segment, each with those behind it in which no player can begin."""
    joined: list[Part] = []
    for one in table.parts:
        if joined and not one.keyed and joined[-1].end_byte == one.begin_byte:
            joined[-1] = joined[-1]._replace(end_us=one.end_us, end_byte=one.end_byte)
        else:
            joined.append(one)
    return tuple(joined)
