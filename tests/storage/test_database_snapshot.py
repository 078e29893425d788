from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from videostore.base.system import LINUX, is_held
from videostore.storage.database_snapshot import take_snapshot


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """A database in use: some of its rows are only in the log."""
    path = tmp_path / "here" / "some.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(100)])
    yield path, connection
    connection.close()


def count(snapshot: sqlite3.Connection) -> int:
    ((number,),) = snapshot.execute("SELECT count(*) FROM numbers").fetchall()
    snapshot.close()
    return int(number)


def contents(directory: Path) -> dict[str, bytes]:
    """All files except the shared memory file, in which readers leave marks while the database is in use."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.endswith("-shm")}


def test_a_database_in_use_is_copied_with_its_log_and_not_changed(
    database: tuple[Path, sqlite3.Connection],
) -> None:
    path, connection = database
    before = contents(path.parent)
    assert count(take_snapshot(path)) == 100
    assert contents(path.parent) == before
    connection.execute("INSERT INTO numbers VALUES (1)")
    assert count(take_snapshot(path)) == 101


def test_no_files_are_created_next_to_a_database_that_is_not_in_use(database: tuple[Path, sqlite3.Connection]) -> None:
    path, connection = database
    connection.close()
    assert os.listdir(path.parent) == [path.name]
    assert count(take_snapshot(path)) == 100
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("shared", [True, False])
def test_a_database_after_a_crash_is_copied_with_its_log_which_stays(
    database: tuple[Path, sqlite3.Connection], tmp_path: Path, shared: bool
) -> None:
    path, _ = database
    left = tmp_path / "left"
    shutil.copytree(path.parent, left)
    if not shared:  # as in a copy without this file
        left.joinpath(path.name + "-shm").unlink()
    before = contents(left)
    names = sorted(os.listdir(left))
    assert count(take_snapshot(left / path.name)) == 100
    assert contents(left) == before and sorted(os.listdir(left)) == names


@pytest.mark.parametrize("shared", [True, False])
def test_on_a_read_only_file_system_the_log_is_read_too(
    database: tuple[Path, sqlite3.Connection], tmp_path: Path, shared: bool
) -> None:
    path, _ = database
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("only root can mount a file system")
    try:
        shutil.copytree(path.parent, disk / "here")
        if not shared:
            (disk / "here" / (path.name + "-shm")).unlink()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert count(take_snapshot(disk / "here" / path.name)) == 100
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_database_with_an_exclusive_lock_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    connection.execute("INSERT INTO numbers VALUES (1)")
    try:
        assert count(take_snapshot(path)) == 1
    finally:
        connection.close()


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_a_file_that_is_not_a_database_is_refused_or_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.db"
    path.write_bytes(content)
    try:
        snapshot = take_snapshot(path)
    except sqlite3.DatabaseError:
        assert content
    else:
        assert not content and snapshot.execute("SELECT * FROM sqlite_master").fetchall() == []
        snapshot.close()


def test_a_missing_database_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take_snapshot(tmp_path / "some.db")
    assert not list(tmp_path.iterdir())


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE numbers (number INTEGER)")
connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(100)])
print("ready", flush=True)
sys.stdin.read()
"""


def everything(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()}


@pytest.mark.skipif(not LINUX, reason="other systems do not report which process holds a file")
def test_no_file_of_a_killed_process_is_changed_at_all(tmp_path: Path) -> None:
    path = tmp_path / "here" / "some.db"
    path.parent.mkdir()
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline()
        assert is_held(path.with_name("some.db-shm"))
        assert count(take_snapshot(path)) == 100
        writer.kill()
    assert len(before := everything(path.parent)) == 3
    assert not is_held(path.with_name("some.db-shm"))
    for _ in range(2):
        assert count(take_snapshot(path)) == 100
    assert everything(path.parent) == before


def test_a_connection_in_the_same_process_keeps_its_locks(database: tuple[Path, sqlite3.Connection]) -> None:
    path, _ = database
    assert is_held(path.with_name("some.db-shm"))
    assert count(take_snapshot(path)) == 100
    assert is_held(path.with_name("some.db-shm"))
    reader = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM numbers').fetchall()"
    subprocess.run([sys.executable, "-c", reader, path], check=True)
    assert path.with_name("some.db-wal").stat().st_size  # the reader did not delete the log


def test_a_database_that_changes_while_it_is_copied_is_read_through_sqlite(
    database: tuple[Path, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, connection = database
    copy = shutil.copyfile

    def write_meanwhile(source: Path, target: Path) -> None:
        copy(source, target)
        connection.execute("INSERT INTO numbers VALUES (1)")

    monkeypatch.setattr("videostore.storage.database_snapshot.is_held", lambda _: False)
    monkeypatch.setattr(shutil, "copyfile", write_meanwhile)
    assert count(take_snapshot(path)) == 102
