"""What viewers ask of the index. None of it costs more the more is stored."""

from __future__ import annotations

from videostore.base.ranges import DamagedRange, Range
from videostore.media.damage_statement import parse_damage
from videostore.storage.index import OVERLAP, STORED, Index

_MOST_AT_ONCE = 100
"""Files that begin at the same time."""


async def names_of(index: Index, start_us: int, run_us: int | None, within_us: int) -> list[str]:
    """The files of the segment of a run that begins at a time, or at most `within_us` from it: the nearest first, of
    copies the longest.

    Without a run, they are of other programs, of which several may begin at the same time.
    """
    query = (
        f"SELECT file_name FROM files WHERE {STORED} AND start_us >= ? AND start_us <= ? AND run_us IS ?"
        " ORDER BY abs(start_us - ?), end_us DESC, file_name DESC LIMIT ?"
    )
    bounds = start_us - within_us, start_us + within_us
    rows = await index._database.read(query, (*bounds, run_us, start_us, _MOST_AT_ONCE))
    return [str(name) for (name,) in rows]


async def damage_within(index: Index, asked: Range, limit: int) -> list[DamagedRange]:
    """The damage in the segments that overlap a range, at most in `limit` of these."""
    query = f"SELECT damaged FROM files WHERE damaged IS NOT NULL AND {STORED} AND {OVERLAP} ORDER BY start_us LIMIT ?"
    rows = await index._database.read(query, (asked.from_us, asked.to_us, asked.from_us, limit))
    return [one for (text,) in rows for one in parse_damage(text)]


async def start_of_newest_us(index: Index, count: int, to_us: int) -> int | None:
    """Where the newest `count` segments begin, of those that begin before a time; None if these are all."""
    query = f"SELECT start_us FROM files WHERE {STORED} AND start_us < ? ORDER BY start_us DESC LIMIT 2 OFFSET ?"
    rows = await index._database.read(query, (to_us, count - 1))
    return int(rows[0][0]) if len(rows) > 1 else None
