"""The index: a cache in SQLite of what the segment files hold, and the saves that were accepted.

The table of files is the Go module's, with additional columns that allow NULL: upgrading keeps every recording, and
rolling back stays possible.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite

from videostore.base.constants import MAX_STEP_IN_RUN_US, US_PER_SECOND
from videostore.base.ranges import DamagedRange
from videostore.media.damage_statement import damage_text, parse_damage
from videostore.media.segment import Segment
from videostore.storage.database import Database
from videostore.storage.database_connection import Table
from videostore.storage.save_record import SaveJob, SaveOutcome, SaveStatus

SAVES_REMEMBERED = 1000
"""Number of finished saves whose outcome is kept."""

FILE_NAME = "index.sqlite.db"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    id INTEGER NOT NULL PRIMARY KEY,
    file_name TEXT NOT NULL UNIQUE,
    start_time_unix INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    codec TEXT NOT NULL,
    inserted_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL,
    deleted_at TIMESTAMP
);
CREATE TABLE IF NOT EXISTS saves (
    file_name TEXT NOT NULL PRIMARY KEY,
    directory TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    accepted_us INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    ranges TEXT,
    container TEXT NOT NULL DEFAULT 'mp4',
    damaged TEXT,
    waits INTEGER NOT NULL DEFAULT 0
);
"""
_OUR_COLUMNS = {
    "start_us": "INTEGER",
    "end_us": "INTEGER",
    "setup": "TEXT",
    "run_us": "INTEGER",
    "run_number": "INTEGER",
    "damaged": "TEXT",
}
_OUR_SAVE_COLUMNS = {
    "container": "TEXT NOT NULL DEFAULT 'mp4'",
    "damaged": "TEXT",
    "waits": "INTEGER NOT NULL DEFAULT 0",
}
_INDEXES = """
CREATE INDEX IF NOT EXISTS files_by_start ON files (start_us);
CREATE INDEX IF NOT EXISTS files_by_length ON files (end_us - start_us);
CREATE INDEX IF NOT EXISTS files_damaged ON files (start_us) WHERE damaged IS NOT NULL;
CREATE INDEX IF NOT EXISTS files_to_adopt ON files (id) WHERE start_us IS NULL OR end_us IS NULL;
"""
# Rows that the Go module wrote. The partial index holds only those, so that opening costs nothing when there are none.
_ADOPT_ROWS = """
UPDATE files SET start_us = start_time_unix * 1000000, end_us = start_time_unix * 1000000 + duration_ms * 1000
WHERE start_us IS NULL OR end_us IS NULL;
"""
_FORGET_METADATA = "UPDATE saves SET metadata = '' WHERE status != 'pending' AND metadata != '';"
_FIELDS = "file_name, start_us, end_us, size_bytes, width, height, codec, setup, run_us, run_number, damaged"
_SAVE_FIELDS = ", ".join(
    ["file_name, directory, from_us, to_us, metadata, accepted_us, status, reason, ranges", *_OUR_SAVE_COLUMNS]
)
_SAVE_MARKS = ", ".join("?" * len(_SAVE_FIELDS.split(",")))
_TABLES = (
    Table("saves", _SAVE_FIELDS, kept=True),
    Table("files", f"start_time_unix, duration_ms, {_FIELDS}", kept=False),
)
PAGE = 1000
"""Segments that `Index.pages` reads at a time."""
_MANY_ROWS = 100
"""From here on a thread makes segments of the rows: each takes a few microseconds."""
STORED = "deleted_at IS NULL"
# A segment that overlaps a range begins at most the length of the longest segment before it.
OVERLAP = "start_us > ? - (SELECT coalesce(max(end_us - start_us), 0) FROM files) - 1 AND start_us < ? AND end_us > ?"


class Span(NamedTuple):
    """Where a segment lies, and its place in its run."""

    start_us: int
    end_us: int
    size_bytes: int
    run_us: int | None
    run_number: int | None


class Index:
    """An open index, between `open` and `close`. Its file may fail at any time: see `Database`."""

    def __init__(self, database: Database) -> None:
        """Use `open`."""
        self._database = database

    @classmethod
    async def open(cls, directory: Path, logger: logging.Logger) -> Index:
        """Open the index of a storage directory, or create a new one; in memory if its file cannot be used."""
        return cls(await Database.open(directory / FILE_NAME, logger, _prepare, _TABLES))

    @classmethod
    async def open_snapshot(cls, directory: Path, logger: logging.Logger) -> Index:
        """Copy the index of a storage directory into memory; the directory is not changed."""
        return cls(await Database.open_snapshot(directory / FILE_NAME, logger, _prepare, _TABLES))

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    @property
    def trouble(self) -> str | None:
        """Why it works in memory; None while it works in its file."""
        return self._database.trouble

    @property
    def incomplete(self) -> bool:
        """Whether rows were lost, so that the files must be read again. The caller resets it when it does so."""
        return self._database.incomplete

    @incomplete.setter
    def incomplete(self, incomplete: bool) -> None:
        self._database.incomplete = incomplete

    def is_in_file(self) -> bool:
        """Whether it works in its file, and nothing is to be seen that is wrong with that. Blocking."""
        return self._database.is_in_file()

    async def ensure_file(self) -> bool:
        """Return from memory to the file, or create the file again if it was removed. True if either was done."""
        return await self._database.ensure_file()

    # Segments

    async def add(self, segments: Sequence[Segment]) -> None:
        """Insert segments, or update their rows, in one transaction."""
        rows = [
            (
                s.file_name,
                s.start_us // US_PER_SECOND,
                _go_duration_ms(s),
                s.size_bytes,
                s.width,
                s.height,
                s.codec,
                s.start_us,
                s.end_us,
                s.setup,
                s.run_us,
                s.run_number,
                damage_text(s.damaged) if s.damaged else None,
            )
            for s in segments
        ]
        await self._database.write(
            "INSERT INTO files (file_name, start_time_unix, duration_ms, size_bytes, width, height, codec,"
            " start_us, end_us, setup, run_us, run_number, damaged) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (file_name) DO UPDATE SET start_time_unix = excluded.start_time_unix,"
            " duration_ms = excluded.duration_ms, size_bytes = excluded.size_bytes, width = excluded.width,"
            " height = excluded.height, codec = excluded.codec, start_us = excluded.start_us,"
            " end_us = excluded.end_us, setup = excluded.setup, run_us = excluded.run_us,"
            " run_number = coalesce(excluded.run_number, run_number), damaged = excluded.damaged, deleted_at = NULL",
            rows,
        )

    async def remove(self, file_names: Iterable[str]) -> None:
        """Delete the rows of these files, in one transaction."""
        await self._database.write("DELETE FROM files WHERE file_name = ?", [(name,) for name in file_names])

    async def select(self, from_us: int, to_us: int, limit: int = -1) -> list[Segment]:
        """Segments that overlap [from_us, to_us), by start. The cost depends on the result, not on what is stored.

        With a `limit`, only as many, those that begin first.
        """
        return await self._segments(
            f"SELECT {_FIELDS} FROM files WHERE {STORED} AND {OVERLAP} ORDER BY start_us LIMIT ?",
            (from_us, to_us, from_us, limit),
        )

    async def pages(self, from_us: int, to_us: int) -> AsyncIterator[list[Segment]]:
        """The same as `select`, in pages: for ranges that may have more than can be held. The caller sees to it that
        none is added meanwhile."""
        ((longest_us,),) = await self._database.read("SELECT coalesce(max(end_us - start_us), 0) FROM files")
        start_us, name = from_us - int(longest_us), ""
        while page := await self._segments(
            f"SELECT {_FIELDS} FROM files WHERE {STORED} AND start_us >= ? AND (start_us > ? OR file_name > ?)"
            " AND start_us < ? AND end_us > ? ORDER BY start_us, file_name LIMIT ?",
            (start_us, start_us, name, to_us, from_us, PAGE),
        ):
            yield page
            start_us, name = page[-1].start_us, page[-1].file_name

    async def amount(self, from_us: int, to_us: int) -> tuple[int, int, int]:
        """Of the segments that overlap [from_us, to_us): all bytes, bytes of the largest, and all microseconds."""
        query = (
            "SELECT coalesce(sum(size_bytes), 0), coalesce(max(size_bytes), 0), coalesce(sum(end_us - start_us), 0)"
            f" FROM files WHERE {STORED} AND {OVERLAP}"
        )
        ((total_bytes, largest_bytes, length_us),) = await self._database.read(query, (from_us, to_us, from_us))
        return int(total_bytes), int(largest_bytes), int(length_us)

    async def start_of_newest(self, size_bytes: int) -> int | None:
        """Where the newest segments begin that have this many bytes together; None if all have fewer."""
        found = await self._database.read(
            "SELECT start_us FROM (SELECT start_us, sum(size_bytes) OVER (ORDER BY start_us DESC, id DESC) AS total"
            f" FROM files WHERE {STORED}) WHERE total >= ? ORDER BY start_us DESC LIMIT 1",
            (size_bytes,),
        )
        return int(found[0][0]) if found else None

    async def oldest(self, limit: int, after: tuple[int, str] | None = None) -> list[Segment]:
        """The segments that begin first, by start and name, after the segment with the start and name `after`."""
        start_us, name = after or (-(1 << 62), "")
        return await self._segments(
            f"SELECT {_FIELDS} FROM files WHERE {STORED} AND start_us >= ? AND (start_us > ? OR file_name > ?)"
            " ORDER BY start_us, file_name LIMIT ?",
            (start_us, start_us, name, limit),
        )

    async def get(self, file_names: Sequence[str]) -> list[Segment]:
        """The segments with these names that are in the index."""
        marks = ", ".join("?" * len(file_names))
        return await self._segments(
            f"SELECT {_FIELDS} FROM files WHERE file_name IN ({marks}) AND {STORED}", file_names
        )

    async def sizes(self) -> dict[str, int]:
        """Size in bytes of every file in the index, by name. Costs as much as is stored: only for reconciling."""
        sizes: dict[str, int] = {}
        async for batch in self._database.batches(f"SELECT file_name, size_bytes FROM files WHERE {STORED}"):
            sizes.update(batch)
        return sizes

    async def spans(self) -> AsyncIterator[Sequence[Span]]:
        """The spans of all segments by start, in batches. Costs as much as is stored: only for opening.

        Raises:
            sqlite3.Error: the file is damaged. The index then works in memory, and can be read again.
        """
        query = f"SELECT start_us, end_us, size_bytes, run_us, run_number FROM files WHERE {STORED} ORDER BY start_us"
        async for batch in self._database.batches(query):
            yield [Span(*row) for row in batch]

    async def damaged(self, limit: int) -> list[DamagedRange]:
        """The damage in the newest segments that have any, at most `limit` of these."""
        rows = await self._database.read(
            f"SELECT damaged FROM files WHERE damaged IS NOT NULL AND {STORED} ORDER BY start_us DESC LIMIT ?",
            (limit,),
        )
        return [one for (text,) in rows for one in parse_damage(text)]

    async def _segments(self, query: str, parameters: Sequence[object]) -> list[Segment]:
        rows = await self._database.read(query, parameters)
        if len(rows) < _MANY_ROWS:
            return _as_segments(rows)
        return await asyncio.get_running_loop().run_in_executor(None, _as_segments, rows)

    # Saves

    async def put_save(self, save: SaveJob) -> None:
        """Insert a save, or update its row, on stable storage. Delete the oldest finished saves."""
        values = (
            save.file_name,
            save.directory,
            save.from_us,
            save.to_us,
            save.metadata,
            save.accepted_us,
            save.status.value,
            save.reason,
            save.ranges_text,
            save.container,
            save.damaged_text,
            int(save.waits),
        )
        await self._database.write(f"INSERT OR REPLACE INTO saves ({_SAVE_FIELDS}) VALUES ({_SAVE_MARKS})", [values])
        await self._database.write(
            "DELETE FROM saves WHERE status != 'pending' AND rowid NOT IN"
            " (SELECT rowid FROM saves WHERE status != 'pending' ORDER BY rowid DESC LIMIT ?)",
            [(SAVES_REMEMBERED,)],
        )
        await self._database.sync()

    async def get_save(self, file_name: str) -> SaveJob | None:
        """The save with this name; None if there is none."""
        found = await self._saves("WHERE file_name = ?", (file_name,))
        return found[0] if found else None

    async def saves(self, status: SaveStatus, limit: int = -1) -> list[SaveJob]:
        """The saves with a status, the newest first."""
        return await self._saves("WHERE status = ? ORDER BY rowid DESC LIMIT ?", (status.value, limit))

    async def outcomes(self) -> dict[str, SaveOutcome]:
        """What became of each save in the index, by the file name of its clip."""
        rows = await self._database.read("SELECT file_name, status, reason FROM saves", ())
        return {name: SaveOutcome(SaveStatus(status), reason) for name, status, reason in rows}

    async def _saves(self, where: str, parameters: Sequence[object]) -> list[SaveJob]:
        return [
            SaveJob.from_row(row)
            for row in await self._database.read(f"SELECT {_SAVE_FIELDS} FROM saves {where}", parameters)
        ]


def _go_duration_ms(segment: Segment) -> int:
    """The Go module's `duration_ms`, which it adds up: the time until the next segment, if it is known and plausible.

    Nothing of ours reads it but from rows of the Go module.
    """
    length_us, until_us = segment.duration_us, segment.until_next_us
    if until_us is not None and abs(until_us - length_us) < MAX_STEP_IN_RUN_US:
        return until_us // 1000
    return length_us // 1000


def _as_segments(rows: Sequence[Sequence[Any]]) -> list[Segment]:
    return [replace(Segment(*row[:-1]), damaged=parse_damage(row[-1])) for row in rows]


async def _prepare(connection: aiosqlite.Connection) -> None:
    await connection.executescript(_SCHEMA)
    for table, columns in (("files", _OUR_COLUMNS), ("saves", _OUR_SAVE_COLUMNS)):
        existing = {row[1] for row in await connection.execute_fetchall(f"PRAGMA table_info({table})")}
        for name, kind in columns.items():
            if name not in existing:
                await connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    await connection.executescript(_INDEXES + _ADOPT_ROWS + _FORGET_METADATA)
