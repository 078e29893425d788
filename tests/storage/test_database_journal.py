from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tests.support.recording import LOGGER
from videostore.media.segment import Segment
from videostore.storage.database_journal import ROLLBACK, WRITE_AHEAD, choose_journal, is_write_ahead, leave_write_ahead
from videostore.storage.index import FILE_NAME, Index
from videostore.storage.repair import repair_directory
from videostore.storage.verify import verify_directory

SEGMENT = Segment("1725000000.mp4", 1, 2, 3, 640, 480, "h264")


def deny_shared_memory(directory: Path) -> None:
    """What SQLite shares between processes cannot be created, as on a file system without it."""
    for name in (FILE_NAME, f"{FILE_NAME}.probe"):
        (directory / f"{name}-shm").mkdir()


def test_the_write_ahead_log_is_used_where_it_works(tmp_path: Path) -> None:
    assert choose_journal(tmp_path / FILE_NAME) == WRITE_AHEAD
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_is_another_trouble(tmp_path: Path) -> None:
    assert choose_journal(tmp_path / "nowhere" / FILE_NAME) == WRITE_AHEAD


async def test_without_shared_memory_the_index_is_in_its_file_with_a_rollback_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deny_shared_memory(tmp_path)
    for _ in range(2):  # a new file, and an existing one
        index = await Index.open(tmp_path, LOGGER)
        assert index.trouble is None
        await index.add([SEGMENT])
        await index.close()
    assert not is_write_ahead(tmp_path / FILE_NAME)
    assert any("rollback journal" in record.message for record in caplog.records)
    snapshot = await Index.open_snapshot(tmp_path, LOGGER)
    assert await snapshot.get([SEGMENT.file_name]) == [SEGMENT]
    await snapshot.close()


async def test_an_index_with_a_log_keeps_its_rows_where_there_is_no_shared_memory(tmp_path: Path) -> None:
    """The directory was copied to another file system."""
    index = await Index.open(tmp_path, LOGGER)
    await index.add([SEGMENT])
    await index.close()
    assert is_write_ahead(tmp_path / FILE_NAME)
    deny_shared_memory(tmp_path)
    index = await Index.open(tmp_path, LOGGER)
    assert (index.trouble, await index.get([SEGMENT.file_name])) == (None, [SEGMENT])
    await index.close()
    assert not is_write_ahead(tmp_path / FILE_NAME)


def test_a_database_is_changed_to_a_rollback_journal_only_if_it_has_a_log(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    leave_write_ahead(path)
    assert not path.exists()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {ROLLBACK}")
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    connection.close()
    before = path.read_bytes()
    leave_write_ahead(path)
    assert path.read_bytes() == before


async def test_a_repair_is_real_where_there_is_no_shared_memory(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.storage.verify._SETTLED_S", 0.2)
    for path in storage.glob(f"{FILE_NAME}*"):
        os.unlink(path)
    deny_shared_memory(storage)
    await repair_directory(storage, (await verify_directory(storage, decode=False)).findings)
    assert (await verify_directory(storage, decode=False)).findings == ()
