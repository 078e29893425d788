from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiosqlite
import pytest

from videostore.storage.database_connection import Table, copy_rows, is_damage, open_connection, transaction

A, B = Table("a", "number, text", kept=False), Table("b", "number, text", kept=True)


async def prepare(connection: aiosqlite.Connection) -> None:
    for table in (A, B):
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {table.name} (number INTEGER PRIMARY KEY, text TEXT)")


async def rows(connection: aiosqlite.Connection, table: Table) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in await connection.execute_fetchall(f"SELECT number, text FROM {table.name}")]


async def insert(connection: aiosqlite.Connection, *values: tuple[int, str]) -> None:
    for table in (A, B):
        await connection.executemany(f"INSERT INTO {table.name} VALUES (?, ?)", values)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[aiosqlite.Connection, aiosqlite.Connection]]:
    """A source with the rows 1 and 2 in each table, and a target with the rows 2 and 3."""
    async with AsyncExitStack() as stack:
        source = await open_connection(tmp_path / "some.db", prepare)
        stack.push_async_callback(source.close)
        target = await open_connection(":memory:", prepare)
        stack.push_async_callback(target.close)
        await insert(source, (1, "source"), (2, "source"))
        await insert(target, (2, "target"), (3, "target"))
        yield source, target


async def test_a_transaction_that_fails_leaves_no_rows(
    pair: tuple[aiosqlite.Connection, aiosqlite.Connection],
) -> None:
    _, target = pair
    with pytest.raises(sqlite3.IntegrityError):
        async with transaction(target):
            await insert(target, (4, "new"), (3, "exists"))
    async with transaction(target):
        await insert(target, (5, "new"))
    assert [number for number, _ in await rows(target, A)] == [2, 3, 5]


@pytest.mark.parametrize("keep", [False, True])
async def test_copying_replaces_rows_and_keeps_others_only_if_asked_to(
    pair: tuple[aiosqlite.Connection, aiosqlite.Connection], keep: bool
) -> None:
    source, target = pair
    await copy_rows(source, target, (A, B), keep=keep)
    copied, other = [(1, "source"), (2, "source")], [(3, "target")]
    assert await rows(target, A) == (copied + other if keep else copied)
    assert await rows(target, B) == copied + other  # its rows are always kept


async def test_a_table_that_cannot_be_read_does_not_keep_others_from_being_copied(
    pair: tuple[aiosqlite.Connection, aiosqlite.Connection],
) -> None:
    source, target = pair
    await source.execute("DROP TABLE a")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await copy_rows(source, target, (A, B), keep=False)
    assert await rows(target, A) == [(2, "target"), (3, "target")]
    assert len(await rows(target, B)) == 3


async def test_a_file_that_is_not_a_database_is_damage_and_a_missing_directory_is_not(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as missing:
        await open_connection(tmp_path / "nowhere" / "some.db", prepare)
    assert not is_damage(missing.value)
    (tmp_path / "some.db").write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError) as damaged:
        await open_connection(tmp_path / "some.db", prepare)
    assert is_damage(damaged.value)
