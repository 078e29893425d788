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
    """A database in use: some of its rows are in the log alone."""
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
    """Of the files that hold something; beside a user, readers leave their marks in the shared memory file."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.endswith("-shm")}


def test_a_database_in_use_is_taken_with_its_log_and_its_user_is_not_disturbed(
    database: tuple[Path, sqlite3.Connection],
) -> None:
    path, connection = database
    before = contents(path.parent)
    assert count(take_snapshot(path)) == 100
    assert contents(path.parent) == before
    connection.execute("INSERT INTO numbers VALUES (1)")
    assert count(take_snapshot(path)) == 101


def test_a_database_at_rest_gets_no_files_beside_it(database: tuple[Path, sqlite3.Connection]) -> None:
    path, connection = database
    connection.close()
    assert os.listdir(path.parent) == [path.name]
    assert count(take_snapshot(path)) == 100
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("shared", [True, False])
def test_what_a_crash_left_is_taken_with_its_log_which_stays(
    database: tuple[Path, sqlite3.Connection], tmp_path: Path, shared: bool
) -> None:
    path, _ = database
    left = tmp_path / "left"
    shutil.copytree(path.parent, left)
    if not shared:  # as when it was copied without it
        left.joinpath(path.name + "-shm").unlink()
    before = contents(left)
    names = sorted(os.listdir(left))
    assert count(take_snapshot(left / path.name)) == 100
    assert contents(left) == before and sorted(os.listdir(left)) == names


@pytest.mark.parametrize("shared", [True, False])
def test_on_a_read_only_file_system_the_log_is_read_as_well(
    database: tuple[Path, sqlite3.Connection], tmp_path: Path, shared: bool
) -> None:
    path, _ = database
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root alone")
    try:
        shutil.copytree(path.parent, disk / "here")
        if not shared:
            (disk / "here" / (path.name + "-shm")).unlink()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert count(take_snapshot(disk / "here" / path.name)) == 100
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_database_that_its_user_keeps_for_itself_is_taken_all_the_same(tmp_path: Path) -> None:
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
def test_what_is_no_database_is_refused_or_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.db"
    path.write_bytes(content)
    try:
        snapshot = take_snapshot(path)
    except sqlite3.DatabaseError:
        assert content
    else:
        assert not content and snapshot.execute("SELECT * FROM sqlite_master").fetchall() == []
        snapshot.close()


def test_where_there_is_none_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take_snapshot(tmp_path / "some.db")
    assert not list(tmp_path.iterdir())


USER = """
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


@pytest.mark.skipif(not LINUX, reason="other systems do not tell who holds a file")
def test_of_what_a_kill_left_nothing_at_all_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "here" / "some.db"
    path.parent.mkdir()
    command = [sys.executable, "-c", USER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None and user.stdout.readline()
        assert is_held(path.with_name("some.db-shm"))
        assert count(take_snapshot(path)) == 100
        user.kill()
    assert len(before := everything(path.parent)) == 3
    assert not is_held(path.with_name("some.db-shm"))
    for _ in range(2):
        assert count(take_snapshot(path)) == 100
    assert everything(path.parent) == before


def test_a_user_in_the_same_process_keeps_its_locks(database: tuple[Path, sqlite3.Connection]) -> None:
    path, _ = database
    assert is_held(path.with_name("some.db-shm"))
    assert count(take_snapshot(path)) == 100
    assert is_held(path.with_name("some.db-shm"))
    reader = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM numbers').fetchall()"
    subprocess.run([sys.executable, "-c", reader, path], check=True)
    assert path.with_name("some.db-wal").stat().st_size  # it did not take itself for the last


def test_one_that_somebody_changes_while_it_is_copied_is_asked_of_sqlite(
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
