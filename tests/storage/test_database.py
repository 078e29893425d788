"""The database, by tables of the tests. What the index makes of a lost or locked file is in `test_index.py`."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import aiosqlite
import pytest

from tests.support.recording import LOGGER
from videostore.storage.database import Database
from videostore.storage.database_connection import Table

TABLES = (Table("numbers", "number", kept=False),)
INSERT = "INSERT INTO numbers VALUES (?)"
SELECT = "SELECT number FROM numbers ORDER BY number"


async def prepare(connection: aiosqlite.Connection) -> None:
    await connection.execute("CREATE TABLE IF NOT EXISTS numbers (number INTEGER UNIQUE)")


async def open_database(path: Path) -> Database:
    return await Database.open(path, LOGGER, prepare, TABLES)


async def test_rows_are_kept_when_the_database_is_reopened(tmp_path: Path) -> None:
    for number in (1, 2):
        database = await open_database(tmp_path / "some.db")
        await database.write(INSERT, [(number,)])
        await database.close()
    database = await open_database(tmp_path / "some.db")
    assert await database.read(SELECT) == [(1,), (2,)]
    assert [list(batch) async for batch in database.batches(SELECT)] == [[(1,), (2,)]]
    assert database.trouble is None and not database.incomplete
    await database.close()


async def test_all_rows_of_a_write_are_stored_or_none(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "some.db")
    with pytest.raises(sqlite3.IntegrityError):
        await database.write(INSERT, [(1,), (2,), (1,)])
    assert await database.read(SELECT) == [] and database.trouble is None
    await database.close()


async def test_a_write_whose_caller_is_cancelled_is_finished(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "some.db")
    writing = asyncio.create_task(database.write(INSERT, [(number,) for number in range(1000)]))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await database.close()
    database = await open_database(tmp_path / "some.db")
    assert len(await database.read(SELECT)) == 1000
    await database.close()


async def test_a_deleted_file_is_recreated_with_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    database = await open_database(path)
    await database.write(INSERT, [(1,)])
    assert await database.ensure_file() is False  # nothing to do
    for file in tmp_path.iterdir():
        file.unlink()
    assert await database.ensure_file() is True and path.exists()
    assert await database.read(SELECT) == [(1,)] and not database.incomplete
    await database.close()


async def test_while_there_is_no_directory_the_database_works_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "later" / "some.db"
    database = await open_database(path)
    assert database.incomplete
    assert "The index works in memory until its file can be used: unable to open database file." in caplog.messages
    await database.write(INSERT, [(1,)])
    await database.sync()
    assert await database.ensure_file() is False
    path.parent.mkdir()
    assert await database.ensure_file() is True
    assert database.trouble is None
    await database.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute(SELECT).fetchall() == [(1,)]
    connection.close()


async def test_a_snapshot_does_not_change_the_file(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    database = await open_database(path)
    await database.write(INSERT, [(1,)])
    await database.close()
    before = path.read_bytes()
    snapshot = await Database.open_snapshot(path, LOGGER, prepare, TABLES)
    await snapshot.write(INSERT, [(2,)])
    assert await snapshot.read(SELECT) == [(1,), (2,)]
    await snapshot.close()
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


async def test_a_snapshot_without_a_file_is_empty_and_incomplete(tmp_path: Path) -> None:
    snapshot = await Database.open_snapshot(tmp_path / "some.db", LOGGER, prepare, TABLES)
    assert await snapshot.read(SELECT) == [] and snapshot.incomplete and snapshot.trouble is None
    await snapshot.close()
    assert not list(tmp_path.iterdir())
