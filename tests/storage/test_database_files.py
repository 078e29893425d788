from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from videostore.storage.database_files import DatabaseFiles, aside_path, log_path, set_aside, sync_log


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """A database in use, with a log."""
    path = tmp_path / "some.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    yield path
    connection.close()


@pytest.fixture
def files(database: Path) -> Iterator[DatabaseFiles]:
    files = DatabaseFiles(database)
    yield files
    files.close()


def test_files_that_are_only_written_to_are_no_trouble(database: Path, files: DatabaseFiles) -> None:
    writer = sqlite3.connect(database)
    with writer:
        writer.execute("INSERT INTO numbers VALUES (1)")
    writer.close()
    assert files.trouble() is None


def test_a_removed_file_is_noticed(database: Path, files: DatabaseFiles) -> None:
    database.rename(database.with_name("elsewhere"))
    assert files.trouble() == "its file was removed or replaced"


def test_a_replaced_log_is_noticed(database: Path, files: DatabaseFiles) -> None:
    content = log_path(database).read_bytes()
    log_path(database).rename(database.with_name("elsewhere"))
    log_path(database).write_bytes(content)
    assert files.trouble() == "its file was removed or replaced"


def test_a_file_that_is_overwritten_in_place_is_noticed(database: Path, files: DatabaseFiles) -> None:
    with database.open("r+b") as file:
        file.write(bytes(100))
    assert files.trouble() == "its file is damaged"


def test_syncing_the_log_keeps_the_locks_of_this_process(database: Path) -> None:
    sync_log(database)
    reader = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM numbers').fetchall()"
    subprocess.run([sys.executable, "-c", reader, database], check=True)
    assert log_path(database).stat().st_size  # otherwise the reader would have deleted it
    sync_log(database.with_name("nowhere.db"))  # no log, no error


def test_only_the_last_damaged_database_is_kept(tmp_path: Path) -> None:
    path, older = tmp_path / "some.db", tmp_path / "some.db.damaged-1"
    for file in (path, log_path(path), older, tmp_path / "other.db"):
        file.write_text(file.name)
    aside = aside_path(path)
    set_aside(path, aside)
    assert sorted(os.listdir(tmp_path)) == ["other.db", aside.name] and aside.read_text() == "some.db"
