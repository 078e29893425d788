"""The database: SQLite in a file that another process may lock, damage, delete or make read-only at any time.

While the file cannot be used, work goes on in memory, with all rows that could be read. Later it returns to the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from videostore.base.errors import reason_of
from videostore.base.tasks import DetachedTasks, off_loop, run_in_thread
from videostore.storage.database_connection import (
    BATCH,
    Prepare,
    Table,
    adopt_connection,
    copy_rows,
    is_damage,
    open_connection,
    transaction,
)
from videostore.storage.database_files import DatabaseFiles, aside_path, set_aside, sync_log
from videostore.storage.database_journal import ROLLBACK, choose_journal, leave_write_ahead
from videostore.storage.database_snapshot import take_snapshot

_T = TypeVar("_T")


class Database:
    """Owns every connection to one database. `open` opens it; `close` ends its thread and its connection."""

    def __init__(self, path: Path, logger: logging.Logger, prepare: Prepare, tables: Sequence[Table]) -> None:
        """Use `open` or `open_snapshot`."""
        self._path = path
        self._logger = logger
        self._prepare = prepare
        self._tables = tables
        self._connection: aiosqlite.Connection
        self._files: DatabaseFiles | None = None
        self._file_unread = False
        """Whether it was opened in memory and has not read the rows of its file."""
        self._writing = asyncio.Lock()
        self._writes = DetachedTasks()
        self.trouble: str | None = None
        """Why it works in memory; None while it works in its file."""
        self.incomplete = False
        """Whether rows were lost. The caller resets it after restoring them."""

    @classmethod
    async def open(cls, path: Path, logger: logging.Logger, prepare: Prepare, tables: Sequence[Table]) -> Database:
        """Open a database, or create a new one. A damaged file is renamed, not deleted.

        `prepare` creates the tables or brings them up to date. If the file cannot be used, the database is in memory.
        """
        database = cls(path, logger, prepare, tables)
        try:
            database._connection = await database._open_file()
        except (sqlite3.Error, OSError) as error:
            database._connection = await open_connection(":memory:", prepare)
            database._report_memory(error)
            database._file_unread = database.incomplete = True
        return database

    @classmethod
    async def open_snapshot(
        cls, path: Path, logger: logging.Logger, prepare: Prepare, tables: Sequence[Table]
    ) -> Database:
        """Copy a database into memory: its files are not changed, and what is written is lost on close.

        If the file cannot be read, the database is empty and `incomplete`.
        """
        database = cls(path, logger, prepare, tables)
        try:
            content = await asyncio.get_running_loop().run_in_executor(None, take_snapshot, path)
            database._connection = await adopt_connection(content, prepare)
        except (sqlite3.Error, OSError) as error:
            logger.warning("The index cannot be read (%s). Reading the segments instead.", reason_of(error))
            database._connection = await open_connection(":memory:", prepare)
            database.incomplete = True
        return database

    async def close(self) -> None:
        """Finish what is being written, and close the connection."""
        await self._writes.wait()
        await self._connection.close()
        self._close_files()

    # Reading and writing

    async def read(self, query: str, parameters: Sequence[object] = ()) -> list[Any]:
        """All rows of a query."""

        async def fetch() -> list[Any]:
            return list(await self._connection.execute_fetchall(query, parameters))

        return await self._attempt(fetch, writing=False)

    async def batches(self, query: str) -> AsyncIterator[list[Any]]:
        """The rows of a query that returns many, in batches.

        Raises:
            sqlite3.Error: the file is damaged. The database then works in memory, and can be queried again.
        """
        try:
            async with self._connection.execute(query) as cursor:
                while batch := await cursor.fetchmany(BATCH):
                    yield list(batch)
        except sqlite3.Error as error:
            await self._leave_file(error)
            raise

    async def write(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement with each of some rows, in one transaction."""

        async def execute() -> None:
            async with transaction(self._connection):
                await self._connection.executemany(statement, rows)

        async def write() -> None:
            async with self._writing:
                await self._attempt(execute, writing=True)

        # In a task, which a cancellation of the caller does not end: an open transaction would block all others.
        await self._writes.run(write())

    async def sync(self) -> None:
        """Force everything that was written to stable storage."""
        if self.trouble is None:
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().run_in_executor(None, sync_log, self._path)

    async def _attempt(self, work: Callable[[], Awaitable[_T]], *, writing: bool) -> _T:
        """Do some work in the file. If that fails because of the file, do it in memory, and stay there."""
        try:
            return await work()
        except sqlite3.Error as error:
            if self.trouble is not None or not (is_damage(error) or isinstance(error, sqlite3.OperationalError)):
                raise
            if writing:
                await self._work_in_memory(error)
            else:
                await self._leave_file(error)
        return await work()

    # From the file into memory

    async def _leave_file(self, reason: str | Exception) -> None:
        async with self._writing:
            if self.trouble is None:
                await self._work_in_memory(reason)

    async def _work_in_memory(self, reason: str | Exception) -> None:
        """Leave the file, and take all rows that can be read. The caller holds `_writing`."""
        file = self._connection
        memory = await open_connection(":memory:", self._prepare)
        try:
            await copy_rows(file, memory, self._tables, keep=False)
        except sqlite3.Error as error:
            self._logger.error("Some rows of the index cannot be read (%s). Reading their files again.", error)
            self.incomplete = True
        except BaseException:
            await memory.close()
            raise
        self._report_memory(reason)
        self._connection = memory
        with contextlib.suppress(sqlite3.Error):
            await file.close()
        self._close_files()

    def _report_memory(self, reason: str | Exception) -> None:
        self.trouble = reason if isinstance(reason, str) else reason_of(reason)
        self._logger.error("The index works in memory until its file can be used: %s.", self.trouble)

    # From memory into the file

    def is_in_file(self) -> bool:
        """Whether it works in its file, and nothing is to be seen that is wrong with that. Blocking."""
        files = self._files
        return self.trouble is None and (files is None or files.trouble() is None)

    async def ensure_file(self) -> bool:
        """Return from memory to the file, or create the file again if it was removed. True if either was done."""
        loop = asyncio.get_running_loop()
        if self.trouble is None:
            files = self._files
            if files is None or (reason := await loop.run_in_executor(None, files.trouble)) is None:
                return False
            await self._leave_file(reason)
        async with self._writing:
            try:
                await self._return_to_file()
            except (sqlite3.Error, OSError) as error:
                self._logger.debug("The index stays in memory: %s.", error)
                return False
        return True

    async def _return_to_file(self) -> None:
        memory = self._connection
        try:
            file = await self._open_filled(memory, keep=self._file_unread)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            await self._set_aside(error)
            file = await self._open_filled(memory, keep=False)
        self._connection = file
        self.trouble = None
        self.incomplete = self.incomplete or self._file_unread
        self._file_unread = False
        await memory.close()
        self._logger.info("The index works in its file again.")

    async def _open_filled(self, source: aiosqlite.Connection, *, keep: bool) -> aiosqlite.Connection:
        file = await self._open_file()
        try:
            await copy_rows(source, file, self._tables, keep=keep)
        except BaseException:
            await file.close()
            self._close_files()
            raise
        return file

    # The file

    async def _open_file(self) -> aiosqlite.Connection:
        journal, damage = await off_loop(self._choose_journal)
        if damage is not None:
            await self._set_aside(damage)
        try:
            connection = await open_connection(self._path, self._prepare, journal)
        except sqlite3.DatabaseError as error:
            if not is_damage(error) or not await off_loop(self._path.exists):
                raise
            await self._set_aside(error)
            connection = await open_connection(self._path, self._prepare, journal)
        try:
            self._files = await run_in_thread(DatabaseFiles, self._path)
        except BaseException:
            await connection.close()
            raise
        return connection

    def _choose_journal(self) -> tuple[str, Exception | None]:
        """The journal that works here, after making an existing file fit for it, or why that cannot be. Blocking."""
        journal = choose_journal(self._path)
        if journal == ROLLBACK:
            self._logger.warning(
                "The file system of %s has no safe shared memory: the index has a rollback journal there.",
                self._path.parent,
            )
            try:
                leave_write_ahead(self._path)
            except sqlite3.Error as error:
                return journal, error
        return journal, None

    def _close_files(self) -> None:
        if self._files is not None:
            self._files.close()
            self._files = None

    async def _set_aside(self, error: Exception) -> None:
        aside = aside_path(self._path)
        self._logger.error(
            "The index is damaged (%s). Rebuilding it from the files; the damaged one is kept as %s.", error, aside.name
        )
        await run_in_thread(set_aside, self._path, aside)
        self.incomplete = True
