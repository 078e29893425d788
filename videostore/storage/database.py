"""The database: SQLite in a file that somebody may lock, damage, delete or make read-only at any time.

While the file cannot be used, work goes on in memory, with all rows that could be read, and returns to the file later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from videostore.base.constants import INDEX_BUSY_S
from videostore.base.errors import reason_of
from videostore.base.files import sync_file
from videostore.base.tasks import DetachedTasks
from videostore.storage.database_snapshot import LOG_SUFFIX, SHARED_SUFFIX, take_snapshot

_BATCH = 5000
_CHUNK = 64
"""Rows that iterating takes at a time: aiosqlite's own default."""
_MAGIC = b"SQLite format 3\0"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows go along between the file and memory."""

    name: str
    fields: str
    kept: bool
    """Whether rows that the target alone knows stay there."""


class Database:
    """Owns every connection to one database. `open` makes it, `close` ends its thread and its connection."""

    def __init__(
        self,
        path: Path,
        logger: logging.Logger,
        prepare: Callable[[aiosqlite.Connection], Awaitable[None]],
        tables: Sequence[Table],
    ) -> None:
        """Use `open`."""
        self._path = path
        self._logger = logger
        self._prepare = prepare
        self._tables = tables
        self._connection: aiosqlite.Connection
        self._files: Files | None = None
        self._blank = False
        """Whether it began in memory, and has not seen the rows of its file."""
        self._writing = asyncio.Lock()
        self._writes = DetachedTasks()
        self.trouble: str | None = None
        """Why it works in memory; None while it works in its file."""
        self.incomplete = False
        """Whether rows were lost. Whoever makes that good resets it."""

    @classmethod
    async def open(
        cls,
        path: Path,
        logger: logging.Logger,
        prepare: Callable[[aiosqlite.Connection], Awaitable[None]],
        tables: Sequence[Table],
    ) -> Database:
        """Open a database, or begin a new one; a damaged one is put aside, not deleted.

        `prepare` makes the tables, or brings them up to date. Where the file cannot be used, it begins in memory.
        """
        database = cls(path, logger, prepare, tables)
        try:
            database._connection = await database._open_file()
        except (sqlite3.Error, OSError) as error:
            database._connection = await database._connect(":memory:")
            database._mark_in_memory(error)
            database._blank = database.incomplete = True
        return database

    @classmethod
    async def open_snapshot(
        cls,
        path: Path,
        logger: logging.Logger,
        prepare: Callable[[aiosqlite.Connection], Awaitable[None]],
        tables: Sequence[Table],
    ) -> Database:
        """What a database holds now, in memory: its files stay as they are, and what is written goes nowhere.

        Without a file that can be read it begins empty, and incomplete.
        """
        database = cls(path, logger, prepare, tables)
        try:
            content = await asyncio.get_running_loop().run_in_executor(None, take_snapshot, path)
            database._connection = await database._prepared(aiosqlite.Connection(lambda: content, _CHUNK))
        except (sqlite3.Error, OSError) as error:
            logger.warning("The index cannot be read (%s): the files are read instead.", reason_of(error))
            database._connection = await database._connect(":memory:")
            database.incomplete = True
        return database

    async def close(self) -> None:
        """Close the connection; what was written is in the file."""
        await self._writes.wait()
        await self._connection.close()
        self._close_files()

    async def read(self, query: str, parameters: Sequence[object] = ()) -> list[Any]:
        """All rows of a query."""

        async def fetch() -> list[Any]:
            return list(await self._connection.execute_fetchall(query, parameters))

        return await self._attempt(fetch, writing=False)

    async def batches(self, query: str) -> AsyncIterator[list[Any]]:
        """The rows of a query that has many, some at a time.

        Raises:
            sqlite3.Error: the file is damaged; work goes on in memory, which can be asked again.
        """
        try:
            async with self._connection.execute(query) as cursor:
                while batch := await cursor.fetchmany(_BATCH):
                    yield list(batch)
        except sqlite3.Error as error:
            await self.leave_file(error)
            raise

    async def write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement with each of some rows; all or none."""

        async def execute() -> None:
            async with _transaction(self._connection):
                await self._connection.executemany(statement, rows)

        async def write() -> None:
            async with self._writing:
                await self._attempt(execute, writing=True)

        # Whole or not at all, whatever becomes of the one who waits: a transaction left open would block all others.
        await self._writes.run(write())

    async def sync(self) -> None:
        """Force what was written to stable storage."""
        if self.trouble is None:
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().run_in_executor(None, self._sync)

    def _sync(self) -> None:
        # The log alone: it holds what was committed, and to close a second descriptor of the database itself would drop
        # the locks that this process has on it.
        with contextlib.suppress(FileNotFoundError):
            sync_file(self._path.with_name(self._path.name + LOG_SUFFIX))

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
            await self._copy_rows(source, file, keep=keep)
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
            connection = await self._connect(self._path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error) or not self._path.exists():
                raise
            self._put_aside(error)
            connection = await self._connect(self._path)
        try:
            self._files = Files(self._path)
        except BaseException:
            await connection.close()
            raise
        return connection

    def _put_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged-{int(time.time())}")
        self._logger.error(
            "The index is damaged (%s): it is rebuilt from the files, and kept as %s.", error, aside.name
        )
        for older in self._path.parent.glob(f"{self._path.name}.damaged-*"):  # one is enough to look at
            older.unlink(missing_ok=True)
        self._path.rename(aside)
        for suffix in (LOG_SUFFIX, SHARED_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()
        self.incomplete = True

    async def _work_in_memory(self, reason: str | Exception) -> None:
        """Leave the file, with all rows that can still be read. Under the lock of those who write."""
        file = self._connection
        memory = await self._connect(":memory:")
        try:
            await self._copy_rows(file, memory, keep=False)
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

    async def _connect(self, path: Path | str) -> aiosqlite.Connection:
        return await self._prepared(aiosqlite.connect(path, isolation_level=None))

    async def _prepared(self, connecting: aiosqlite.Connection) -> aiosqlite.Connection:
        connection = await connecting
        try:
            await connection.execute(f"PRAGMA busy_timeout = {round(INDEX_BUSY_S * 1000)}")
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = NORMAL")
            await connection.execute("PRAGMA wal_autocheckpoint = 200")  # 800 KiB, instead of 4 MiB
            await self._prepare(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

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

    async def _copy_rows(self, source: aiosqlite.Connection, target: aiosqlite.Connection, *, keep: bool) -> None:
        """Give one connection the rows of another; with `keep` what it alone knows stays in every table.

        SQLite's own backup would wait without end for a lock.
        """
        failed: sqlite3.Error | None = None
        for table in self._tables:
            marks = ", ".join("?" * (table.fields.count(",") + 1))
            try:
                async with _transaction(target):
                    if not (keep or table.kept):
                        await target.execute(f"DELETE FROM {table.name}")
                    async with source.execute(f"SELECT {table.fields} FROM {table.name} ORDER BY rowid") as cursor:
                        while batch := await cursor.fetchmany(_BATCH):
                            statement = f"INSERT OR REPLACE INTO {table.name} ({table.fields}) VALUES ({marks})"
                            await target.executemany(statement, batch)
            except sqlite3.Error as error:  # one table that is damaged says nothing about the others
                failed = failed or error
        if failed is not None:
            raise failed


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
        self._log = path.with_name(path.name + LOG_SUFFIX)
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
