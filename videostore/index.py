"""The index: a cache in SQLite of what the segment files hold. One class owns every connection to it.

The table is the Go module's, so that an upgrade keeps every recording and a way back stays open: our columns allow
NULL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import aiosqlite

from videostore.const import US_PER_SECOND
from videostore.segment import Segment

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
"""
_OUR_COLUMNS = {
    "start_us": "INTEGER",
    "end_us": "INTEGER",
    "setup": "TEXT",
    "run_us": "INTEGER",
    "run_number": "INTEGER",
}
_ADOPT_ROWS = """
UPDATE files SET start_us = start_time_unix * 1000000, end_us = start_time_unix * 1000000 + duration_ms * 1000
WHERE start_us IS NULL OR end_us IS NULL;
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS files_by_start ON files (start_us);
CREATE INDEX IF NOT EXISTS files_by_length ON files (end_us - start_us);
"""
_FIELDS = "file_name, start_us, end_us, size_bytes, width, height, codec, setup, run_us, run_number"
_STORED = "deleted_at IS NULL"
_BATCH = 500


class Index:
    """An open index. `open` makes it, `close` ends its thread and its connection."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        """Use `open`."""
        self._connection = connection
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, directory: Path, logger: logging.Logger) -> Index:
        """Open the index of a storage directory, or begin a new one; a damaged one is put aside, not deleted.

        Raises:
            sqlite3.Error, OSError: neither is possible.
        """
        path = directory / FILE_NAME
        try:
            return await cls._open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) or not path.exists():
                raise
            aside = path.with_name(f"{FILE_NAME}.damaged-{int(time.time())}")
            logger.error("The index is damaged (%s): it is rebuilt from the files, and kept as %s.", error, aside.name)
            path.rename(aside)
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(FILE_NAME + suffix).unlink()
            return await cls._open(path)

    @classmethod
    async def _open(cls, path: Path) -> Index:
        connection = await aiosqlite.connect(path, isolation_level=None)
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = NORMAL")
            await connection.execute("PRAGMA busy_timeout = 5000")
            await connection.executescript(_SCHEMA)
            known = {row[1] for row in await connection.execute_fetchall("PRAGMA table_info(files)")}
            for name, kind in _OUR_COLUMNS.items():
                if name not in known:
                    await connection.execute(f"ALTER TABLE files ADD COLUMN {name} {kind}")
            await connection.executescript(_ADOPT_ROWS + _INDEXES)
        except BaseException:
            await connection.close()
            raise
        return cls(connection)

    async def close(self) -> None:
        """Close the connection; what was written is in the file."""
        await self._connection.close()

    async def add(self, segments: Sequence[Segment]) -> None:
        """Insert segments, or bring their rows up to date; all or none."""
        rows = [
            (
                s.file_name,
                s.start_us // US_PER_SECOND,
                s.duration_us // 1000,
                s.size_bytes,
                s.width,
                s.height,
                s.codec,
                s.start_us,
                s.end_us,
                s.setup,
                s.run_us,
                s.run_number,
            )
            for s in segments
        ]
        async with self._transaction():
            await self._connection.executemany(
                "INSERT INTO files (file_name, start_time_unix, duration_ms, size_bytes, width, height, codec,"
                " start_us, end_us, setup, run_us, run_number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (file_name) DO UPDATE SET start_time_unix = excluded.start_time_unix,"
                " duration_ms = excluded.duration_ms, size_bytes = excluded.size_bytes, width = excluded.width,"
                " height = excluded.height, codec = excluded.codec, start_us = excluded.start_us,"
                " end_us = excluded.end_us, setup = excluded.setup, run_us = excluded.run_us,"
                " run_number = coalesce(excluded.run_number, run_number), deleted_at = NULL",
                rows,
            )

    async def remove(self, file_names: Iterable[str]) -> None:
        """Delete the rows of these files, in one transaction."""
        async with self._transaction():
            rows = [(name,) for name in file_names]
            await self._connection.executemany("DELETE FROM files WHERE file_name = ?", rows)

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        # A single statement, executemany included, would commit per row in autocommit mode.
        async with self._writing:
            await self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                await self._connection.execute("ROLLBACK")
                raise
            await self._connection.execute("COMMIT")

    async def select(self, from_us: int, to_us: int) -> list[Segment]:
        """Segments that overlap [from_us, to_us), by start. Costs what it returns, not what is stored."""
        longest_us = await self._number("SELECT max(end_us - start_us) FROM files") or 0
        return await self._segments(
            f"SELECT {_FIELDS} FROM files WHERE start_us > ? AND start_us < ? AND end_us > ? AND {_STORED}"
            " ORDER BY start_us",
            (from_us - longest_us - 1, to_us, from_us),
        )

    async def oldest(self, limit: int) -> list[Segment]:
        """The segments that begin first."""
        return await self._segments(f"SELECT {_FIELDS} FROM files WHERE {_STORED} ORDER BY start_us LIMIT ?", (limit,))

    async def get(self, file_name: str) -> Segment | None:
        """The segment of this name."""
        found = await self._segments(f"SELECT {_FIELDS} FROM files WHERE file_name = ? AND {_STORED}", (file_name,))
        return found[0] if found else None

    async def sizes(self) -> dict[str, int]:
        """Size in bytes of every file in the index, by name. Grows with what is stored: for reconciling alone."""
        rows = await self._connection.execute_fetchall(f"SELECT file_name, size_bytes FROM files WHERE {_STORED}")
        return {str(name): int(size) for name, size in rows}

    async def spans(self) -> AsyncIterator[list[tuple[int, int, int]]]:
        """Start, end and size of every segment by start, in batches. Grows with what is stored: for the start alone."""
        query = f"SELECT start_us, end_us, size_bytes FROM files WHERE {_STORED} ORDER BY start_us"
        async with self._connection.execute(query) as cursor:
            while batch := await cursor.fetchmany(_BATCH):
                yield [(int(start), int(end), int(size)) for start, end, size in batch]

    async def _segments(self, query: str, parameters: Sequence[object]) -> list[Segment]:
        return [Segment(*row) for row in await self._connection.execute_fetchall(query, parameters)]

    async def _number(self, query: str) -> int | None:
        for row in await self._connection.execute_fetchall(query):
            return None if row[0] is None else int(row[0])
        return None
