"""The index: a cache in SQLite of what the segment files hold, and the saves that were promised.

One class owns every connection to it. The table of files is the Go module's, so that an upgrade keeps every recording
and a way back stays open: our columns allow NULL. While the file cannot be used (locked, read-only, damaged, deleted, a
full disk), the index goes on in memory, and returns to the file by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from videostore.const import INDEX_BUSY_S, SAVES_REMEMBERED, US_PER_SECOND
from videostore.errors import reason_of
from videostore.saved import Save, SaveStatus
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
CREATE TABLE IF NOT EXISTS saves (
    file_name TEXT NOT NULL PRIMARY KEY,
    directory TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    accepted_us INTEGER NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    ranges TEXT
);
"""
_OUR_COLUMNS = {
    "start_us": "INTEGER",
    "end_us": "INTEGER",
    "setup": "TEXT",
    "run_us": "INTEGER",
    "run_number": "INTEGER",
}
_INDEXES = """
CREATE INDEX IF NOT EXISTS files_by_start ON files (start_us);
CREATE INDEX IF NOT EXISTS files_by_length ON files (end_us - start_us);
CREATE INDEX IF NOT EXISTS files_to_adopt ON files (id) WHERE start_us IS NULL OR end_us IS NULL;
"""
# Rows that the Go module wrote. The partial index holds no others, so that a start costs nothing when there are none.
_ADOPT_ROWS = """
UPDATE files SET start_us = start_time_unix * 1000000, end_us = start_time_unix * 1000000 + duration_ms * 1000
WHERE start_us IS NULL OR end_us IS NULL;
"""
_FIELDS = "file_name, start_us, end_us, size_bytes, width, height, codec, setup, run_us, run_number"
_SAVE_FIELDS = "file_name, directory, from_us, to_us, metadata, accepted_us, status, reason, ranges"
_STORED = "deleted_at IS NULL"
_BATCH = 5000
_MAGIC = b"SQLite format 3\0"
_T = TypeVar("_T")


class Index:
    """An open index. `open` makes it, `close` ends its thread and its connection."""

    def __init__(self, path: Path, logger: logging.Logger) -> None:
        """Use `open`."""
        self._path = path
        self._logger = logger
        self._connection: aiosqlite.Connection
        self._files: Files | None = None
        self._blank = False
        """Whether it began in memory, and has not seen the rows of its file."""
        self._writing = asyncio.Lock()
        self._writes: set[asyncio.Task[None]] = set()
        self.trouble: str | None = None
        """Why it works in memory; None while it works in its file."""
        self.incomplete = False
        """Whether rows were lost, so that the files have to be read again. Whoever does so resets it."""

    @classmethod
    async def open(cls, directory: Path, logger: logging.Logger) -> Index:
        """Open the index of a storage directory, or begin a new one; a damaged one is put aside, not deleted.

        Where the file cannot be used, it begins in memory.
        """
        index = cls(directory / FILE_NAME, logger)
        try:
            index._connection = await index._open_file()
        except (sqlite3.Error, OSError) as error:
            index._connection = await _connect(":memory:")
            index._mark_in_memory(error)
            index._blank = index.incomplete = True
        return index

    async def close(self) -> None:
        """Close the connection; what was written is in the file."""
        if self._writes:
            await asyncio.wait(self._writes)
        await self._connection.close()
        self._close_files()

    # Segments

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
        await self._write(
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
        await self._write("DELETE FROM files WHERE file_name = ?", [(name,) for name in file_names])

    async def select(self, from_us: int, to_us: int) -> list[Segment]:
        """Segments that overlap [from_us, to_us), by start. Costs what it returns, not what is stored."""
        return await self._segments(
            f"SELECT {_FIELDS} FROM files WHERE {_STORED} AND {_OVERLAP} ORDER BY start_us", (from_us, to_us, from_us)
        )

    async def amount(self, from_us: int, to_us: int) -> tuple[int, int, int]:
        """Bytes in all, bytes of the largest and microseconds of the segments that overlap [from_us, to_us)."""
        query = (
            "SELECT coalesce(sum(size_bytes), 0), coalesce(max(size_bytes), 0), coalesce(sum(end_us - start_us), 0)"
            f" FROM files WHERE {_STORED} AND {_OVERLAP}"
        )
        ((total_bytes, largest_bytes, length_us),) = await self._read(query, (from_us, to_us, from_us))
        return int(total_bytes), int(largest_bytes), int(length_us)

    async def oldest(self, limit: int, after: tuple[int, str] | None = None) -> list[Segment]:
        """The segments that begin first, by start and name; `after` is the start and the name of the one before."""
        start_us, name = after or (-(1 << 62), "")
        return await self._segments(
            f"SELECT {_FIELDS} FROM files WHERE {_STORED} AND start_us >= ? AND (start_us > ? OR file_name > ?)"
            " ORDER BY start_us, file_name LIMIT ?",
            (start_us, start_us, name, limit),
        )

    async def get(self, file_names: Sequence[str]) -> list[Segment]:
        """Those segments of these names that are known."""
        marks = ", ".join("?" * len(file_names))
        return await self._segments(
            f"SELECT {_FIELDS} FROM files WHERE file_name IN ({marks}) AND {_STORED}", file_names
        )

    async def sizes(self) -> dict[str, int]:
        """Size in bytes of every file in the index, by name. Grows with what is stored: for reconciling alone."""
        sizes: dict[str, int] = {}
        async for batch in self._batches(f"SELECT file_name, size_bytes FROM files WHERE {_STORED}"):
            sizes.update(batch)
        return sizes

    async def spans(self) -> AsyncIterator[Sequence[tuple[int, int, int]]]:
        """Start, end and size of every segment by start, in batches. Grows with what is stored: for the start alone.

        Raises:
            sqlite3.Error: the file is damaged; the index goes on in memory, and can be asked again.
        """
        query = f"SELECT start_us, end_us, size_bytes FROM files WHERE {_STORED} ORDER BY start_us"
        async for batch in self._batches(query):
            yield batch

    async def _batches(self, query: str) -> AsyncIterator[list[Any]]:
        try:
            async with self._connection.execute(query) as cursor:
                while batch := await cursor.fetchmany(_BATCH):
                    yield list(batch)
        except sqlite3.Error as error:
            await self.leave_file(error)
            raise

    async def _segments(self, query: str, parameters: Sequence[object]) -> list[Segment]:
        return [Segment(*row) for row in await self._read(query, parameters)]

    # Saves

    async def put_save(self, save: Save) -> None:
        """Insert a save, or bring its row up to date: on stable storage when this returns. Old ones are forgotten."""
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
        )
        await self._write(f"INSERT OR REPLACE INTO saves ({_SAVE_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [values])
        await self._write(
            "DELETE FROM saves WHERE status != 'pending' AND rowid NOT IN"
            " (SELECT rowid FROM saves WHERE status != 'pending' ORDER BY rowid DESC LIMIT ?)",
            [(SAVES_REMEMBERED,)],
        )
        if self.trouble is None:
            with contextlib.suppress(sqlite3.Error, OSError):
                await asyncio.get_running_loop().run_in_executor(None, self._sync)

    def _sync(self) -> None:
        # The log alone: it holds what was committed, and to close a second descriptor of the database itself would drop
        # the locks that this process has on it.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(self._path.with_name(FILE_NAME + "-wal"), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    async def get_save(self, file_name: str) -> Save | None:
        """The save of this name."""
        found = await self._saves("WHERE file_name = ?", (file_name,))
        return found[0] if found else None

    async def saves(self, status: SaveStatus, limit: int = -1) -> list[Save]:
        """The saves of a status, the newest first."""
        return await self._saves("WHERE status = ? ORDER BY rowid DESC LIMIT ?", (status.value, limit))

    async def _saves(self, where: str, parameters: Sequence[object]) -> list[Save]:
        return [Save.from_row(row) for row in await self._read(f"SELECT {_SAVE_FIELDS} FROM saves {where}", parameters)]

    # Faults of the file

    async def keep_to_file(self) -> bool:
        """Return from memory to the file, or make the file anew where somebody took it away; tell whether it did so."""
        loop = asyncio.get_running_loop()
        if self.trouble is None:
            files = self._files
            if files is None or (reason := await loop.run_in_executor(None, files.trouble)) is None:
                return False
            await self.leave_file(reason)
        async with self._writing:
            try:
                await self._return_to_file()
            except (sqlite3.Error, OSError) as error:
                self._logger.debug("The index stays in memory: %s", error)
                return False
        return True

    async def leave_file(self, reason: str | Exception) -> None:
        """Go on in memory."""
        async with self._writing:
            if self.trouble is None:
                await self._work_in_memory(reason)

    async def _return_to_file(self) -> None:
        memory = self._connection
        try:
            file = await self._open_filled(memory, keep=self._blank)
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise
            self._put_aside(error)
            file = await self._open_filled(memory, keep=False)
        self._connection = file
        self.trouble = None
        self.incomplete = self.incomplete or self._blank
        self._blank = False
        await memory.close()
        self._logger.info("The index is in its file again.")

    async def _open_filled(self, source: aiosqlite.Connection, *, keep: bool) -> aiosqlite.Connection:
        file = await self._open_file()
        try:
            await _copy_rows(source, file, keep=keep)
        except BaseException:
            await file.close()
            self._close_files()
            raise
        return file

    def _close_files(self) -> None:
        if self._files is not None:
            self._files.close()
            self._files = None

    async def _open_file(self) -> aiosqlite.Connection:
        try:
            connection = await _connect(self._path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error) or not self._path.exists():
                raise
            self._put_aside(error)
            connection = await _connect(self._path)
        try:
            self._files = Files(self._path)
        except BaseException:
            await connection.close()
            raise
        return connection

    def _put_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{FILE_NAME}.damaged-{int(time.time())}")
        self._logger.error(
            "The index is damaged (%s): it is rebuilt from the files, and kept as %s.", error, aside.name
        )
        for older in self._path.parent.glob(f"{FILE_NAME}.damaged-*"):  # one is enough to look at
            older.unlink(missing_ok=True)
        self._path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(FILE_NAME + suffix).unlink()
        self.incomplete = True

    async def _work_in_memory(self, reason: str | Exception) -> None:
        """Leave the file, with all rows that can still be read. Under the lock of those who write."""
        file = self._connection
        memory = await _connect(":memory:")
        try:
            await _copy_rows(file, memory, keep=False)
        except sqlite3.Error as error:
            self._logger.error("Rows of the index cannot be read (%s): they are read from the files again.", error)
            self.incomplete = True
        except BaseException:
            await memory.close()
            raise
        self._mark_in_memory(reason)
        self._connection = memory
        with contextlib.suppress(sqlite3.Error):
            await file.close()
        self._close_files()

    def _mark_in_memory(self, reason: str | Exception) -> None:
        self.trouble = reason if isinstance(reason, str) else reason_of(reason)
        self._logger.error("The index works in memory until its file can be used again: %s.", self.trouble)

    async def _attempt(self, work: Callable[[], Awaitable[_T]], *, writing: bool) -> _T:
        """Do it in the file, or in memory from then on where that fails for reasons of the file."""
        try:
            return await work()
        except sqlite3.Error as error:
            if self.trouble is not None or not (_is_damage(error) or isinstance(error, sqlite3.OperationalError)):
                raise
            if writing:
                await self._work_in_memory(error)
            else:
                await self.leave_file(error)
        return await work()

    async def _read(self, query: str, parameters: Sequence[object] = ()) -> list[Any]:
        async def fetch() -> list[Any]:
            return list(await self._connection.execute_fetchall(query, parameters))

        return await self._attempt(fetch, writing=False)

    async def _write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        async def execute() -> None:
            async with _transaction(self._connection):
                await self._connection.executemany(statement, rows)

        async def write() -> None:
            async with self._writing:
                await self._attempt(execute, writing=True)

        # Whole or not at all, whatever becomes of the one who waits: a transaction left open would block all others.
        task = asyncio.create_task(write())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        await asyncio.shield(task)


# No segment is longer than the longest: those that overlap begin at most that long before.
_OVERLAP = "start_us > ? - (SELECT coalesce(max(end_us - start_us), 0) FROM files) - 1 AND start_us < ? AND end_us > ?"


async def _connect(path: Path | str) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, isolation_level=None)
    try:
        await connection.execute(f"PRAGMA busy_timeout = {round(INDEX_BUSY_S * 1000)}")
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = NORMAL")
        await connection.execute("PRAGMA wal_autocheckpoint = 200")  # 800 KiB, instead of 4 MiB
        await connection.executescript(_SCHEMA)
        known = {row[1] for row in await connection.execute_fetchall("PRAGMA table_info(files)")}
        for name, kind in _OUR_COLUMNS.items():
            if name not in known:
                await connection.execute(f"ALTER TABLE files ADD COLUMN {name} {kind}")
        await connection.executescript(_INDEXES + _ADOPT_ROWS)
    except BaseException:
        await connection.close()
        raise
    return connection


@contextlib.asynccontextmanager
async def _transaction(connection: aiosqlite.Connection) -> AsyncIterator[None]:
    # A single statement, executemany included, would commit per row in autocommit mode.
    try:
        await connection.execute("BEGIN IMMEDIATE")
        yield
        await connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself when the disk is full
            await connection.execute("ROLLBACK")
        raise


async def _copy_rows(source: aiosqlite.Connection, target: aiosqlite.Connection, *, keep: bool) -> None:
    """Give one connection the rows of another; saves that it alone knows stay there, and with `keep` segments as well.

    SQLite's own backup would wait without end for a lock.
    """
    for table, fields in (("saves", _SAVE_FIELDS), ("files", f"start_time_unix, duration_ms, {_FIELDS}")):
        marks = ", ".join("?" * (fields.count(",") + 1))
        async with _transaction(target):
            if table == "files" and not keep:
                await target.execute("DELETE FROM files")
            async with source.execute(f"SELECT {fields} FROM {table} ORDER BY rowid") as cursor:
                while batch := await cursor.fetchmany(_BATCH):
                    await target.executemany(f"INSERT OR REPLACE INTO {table} ({fields}) VALUES ({marks})", batch)


def _is_damage(error: Exception) -> bool:
    """Whether SQLite found the file damaged, no database, or another program's; other errors are subclasses."""
    return type(error) is sqlite3.DatabaseError or "no such column" in str(error)


class Files:
    """The files of a database that is open, and whether they are still the same. Closed after the connection.

    It has a descriptor of its own, for to close one would drop the locks that SQLite has on the file in this process:
    another process that closed the database then would take itself for the last, and delete the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._descriptor = os.open(path, os.O_RDONLY)
        self._seen = [_inode(file) for file in (self._path, self._log)]

    def trouble(self) -> str | None:
        """What is wrong with them at a glance, which SQLite may come to see much later; None where nothing is."""
        if [_inode(file) for file in (self._path, self._log)] != self._seen:
            return "somebody removed or replaced its file"
        return None if os.pread(self._descriptor, len(_MAGIC), 0) == _MAGIC else "its file is damaged"

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


def _inode(path: Path) -> tuple[int, int] | None:
    """Which file has this name; None: none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
