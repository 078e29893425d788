"""SQLite connections: opening and preparing one, transactions, and copying rows from one to another."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import aiosqlite

INDEX_BUSY_S = 2.0
"""How long another process may lock the database. After that, work goes on in memory."""

BATCH = 5000
"""Rows read in one go."""

_CHUNK = 64
"""Rows that aiosqlite reads at a time while iterating: its own default."""

Prepare: TypeAlias = Callable[[aiosqlite.Connection], Awaitable[None]]
"""Creates the tables of a database, or adds what an older version lacks."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows are copied between file and memory."""

    name: str
    fields: str
    """The columns to copy, separated by commas."""
    kept: bool
    """Whether copying keeps rows that exist only in the target."""


async def open_connection(path: Path | str, prepare: Prepare, journal: str = "WAL") -> aiosqlite.Connection:
    """Open a database, or create a new one. `:memory:` is a database in memory. `journal` is SQLite's journal mode.

    Raises:
        sqlite3.Error: it is damaged, locked for too long, or cannot be opened.
    """
    return await _prepared(aiosqlite.connect(path, isolation_level=None), prepare, journal)


async def adopt_connection(connection: sqlite3.Connection, prepare: Prepare) -> aiosqlite.Connection:
    """Use a connection that any thread may use.

    Raises:
        sqlite3.Error: the database is damaged.
    """
    return await _prepared(aiosqlite.Connection(lambda: connection, _CHUNK), prepare)


async def _prepared(connecting: aiosqlite.Connection, prepare: Prepare, journal: str = "WAL") -> aiosqlite.Connection:
    connection = await connecting
    try:
        await connection.execute(f"PRAGMA busy_timeout = {round(INDEX_BUSY_S * 1000)}")
        await connection.execute(f"PRAGMA journal_mode = {journal}")
        # A log that is synced on demand makes a commit lasting; without one each commit has to be.
        await connection.execute(f"PRAGMA synchronous = {'NORMAL' if journal == 'WAL' else 'FULL'}")
        await connection.execute("PRAGMA wal_autocheckpoint = 200")  # 800 KiB instead of 4 MiB
        await prepare(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


@contextlib.asynccontextmanager
async def transaction(connection: aiosqlite.Connection) -> AsyncIterator[None]:
    """Run statements in one transaction: all are committed, or none if an error is raised."""
    # In autocommit mode each statement, and each row of executemany, would be committed by itself.
    try:
        await connection.execute("BEGIN IMMEDIATE")
        yield
        await connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # if the disk is full, SQLite has already rolled back
            await connection.execute("ROLLBACK")
        raise


async def copy_rows(
    source: aiosqlite.Connection, target: aiosqlite.Connection, tables: Sequence[Table], *, keep: bool
) -> None:
    """Copy the rows of all tables; with `keep`, rows that exist only in the target are kept in every table.

    SQLite's own backup would wait for a lock without limit.

    Raises:
        sqlite3.Error: some rows cannot be read or written. All other tables are copied nevertheless.
    """
    failed: sqlite3.Error | None = None
    for table in tables:
        marks = ", ".join("?" * (table.fields.count(",") + 1))
        try:
            async with transaction(target):
                if not (keep or table.kept):
                    await target.execute(f"DELETE FROM {table.name}")
                async with source.execute(f"SELECT {table.fields} FROM {table.name} ORDER BY rowid") as cursor:
                    while batch := await cursor.fetchmany(BATCH):
                        statement = f"INSERT OR REPLACE INTO {table.name} ({table.fields}) VALUES ({marks})"
                        await target.executemany(statement, batch)
        except sqlite3.Error as error:  # the other tables may be intact
            failed = failed or error
    if failed is not None:
        raise failed


def is_damage(error: Exception) -> bool:
    """Whether the file is damaged, not a database, or another program's. Other errors of SQLite are subclasses."""
    return type(error) is sqlite3.DatabaseError or "no such column" in str(error)
