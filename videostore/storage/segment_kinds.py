"""What kinds of segments a range has, and how many, read from the index without making anything of its rows."""

from __future__ import annotations

from typing import NamedTuple

from videostore.storage.index import OVERLAP, STORED, Index


class SegmentKind(NamedTuple):
    """What segments have in common whose video can be joined as it is, and how many have it."""

    codec: str
    width: int
    height: int
    setup: str | None
    ours: int
    """Whether they are of this module: 1 or 0."""
    segments: int
    file_name: str
    """One of them."""


async def kinds_of(index: Index, from_us: int, to_us: int, limit: int) -> list[SegmentKind]:
    """Which kinds of segments overlap [from_us, to_us), and how many of each, among the first `limit`."""
    found = f"SELECT * FROM files WHERE {STORED} AND {OVERLAP} ORDER BY start_us LIMIT ?"
    kinds = "SELECT codec, width, height, setup, run_us IS NOT NULL, count(*), min(file_name)"
    query = f"{kinds} FROM ({found}) GROUP BY 1, 2, 3, 4, 5 ORDER BY min(start_us)"
    return [SegmentKind(*row) for row in await index._database.read(query, (from_us, to_us, from_us, limit))]


async def runs_of(index: Index, from_us: int, to_us: int, limit: int) -> list[str]:
    """The first segment of each run of this module in [from_us, to_us), among the first `limit` segments: file names
    in the order of time.
    """
    found = f"SELECT * FROM files WHERE {STORED} AND {OVERLAP} ORDER BY start_us LIMIT ?"
    query = f"SELECT file_name, min(start_us) FROM ({found}) WHERE run_us IS NOT NULL GROUP BY run_us ORDER BY 2"
    return [str(name) for name, _ in await index._database.read(query, (from_us, to_us, from_us, limit))]


async def first_of(
    index: Index, from_us: int, to_us: int, codec: str, width: int, height: int, *, other: bool = False
) -> int | None:
    """Where the first segment of this module begins in [from_us, to_us) that has a codec and a size, or with `other`,
    the first one of all that are not like that; None if there is none.
    """
    like = "codec = ? AND width = ? AND height = ? AND run_us IS NOT NULL"
    wanted = f"NOT ({like})" if other else like
    query = f"SELECT min(start_us) FROM files WHERE {STORED} AND start_us >= ? AND start_us < ? AND {wanted}"
    ((first_us,),) = await index._database.read(query, (from_us, to_us, codec, width, height))
    return None if first_us is None else int(first_us)


async def count_of(index: Index, from_us: int, to_us: int) -> tuple[int, int | None]:
    """How many segments begin in [from_us, to_us), and where the last of them begins. Reads only the starts: a few
    milliseconds for 100,000.
    """
    query = "SELECT count(*), max(start_us) FROM files WHERE start_us >= ? AND start_us < ?"
    ((count, newest_us),) = await index._database.read(query, (from_us, to_us))
    return int(count), None if newest_us is None else int(newest_us)
