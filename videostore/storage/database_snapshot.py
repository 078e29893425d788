"""A snapshot: a copy of a database in memory, or rows of it. Its files are not changed, be they in use or not."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from videostore.base.system import is_held
from videostore.storage.database_connection import INDEX_BUSY_S
from videostore.storage.database_files import LOG_SUFFIX, SHARED_SUFFIX
from videostore.storage.database_journal import ROLLBACK_SUFFIX

_T = TypeVar("_T")
_ATTEMPTS = 5
_BUSY = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED. Python has names for them from 3.11 on."""


def take_snapshot(path: Path) -> sqlite3.Connection:
    """Copy a database into memory, for use by any thread. Blocking.

    Raises:
        OSError: it does not exist, or cannot be read.
        sqlite3.Error: it is damaged, or locked for too long.
    """
    return read_unchanged(path, _load, drop=sqlite3.Connection.close)


def read_unchanged(path: Path, read: Callable[[str], _T], *, drop: Callable[[_T], object] = lambda _: None) -> _T:
    """What `read` gets from a database by the address with which it is to be opened. Blocking.

    It may be read several times: `drop` gets what turned out to be of no use.

    Raises:
        OSError: it does not exist, or cannot be read.
        sqlite3.Error: it is damaged, or locked for too long.
    """
    log, shared = (path.with_name(path.name + suffix) for suffix in (LOG_SUFFIX, SHARED_SUFFIX))
    if not stat.S_ISREG(path.stat().st_mode):  # to open a named pipe would wait without end
        raise sqlite3.OperationalError("it is not a regular file")
    if path.with_name(path.name + ROLLBACK_SUFFIX).exists():  # a process may be writing to it: the locks tell
        with contextlib.suppress(sqlite3.OperationalError):
            return read(_read_only(path))
    if not log.exists() or not log.stat().st_size:  # no process is writing to it, or one with a rollback journal
        return _read_file(path, read, drop)
    if shared.exists():
        if not is_held(shared):
            with contextlib.suppress(_ChangedError):
                return _read_copy(path, log, read, steady=True)
        with contextlib.suppress(sqlite3.OperationalError):  # fails on a read-only file system after a crash
            return read(_read_only(path))
    return _read_copy(path, log, read)


def file_state(path: Path) -> tuple[int, int, int] | None:
    """Differs when a file was written to; None if it does not exist. Blocking."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _read_only(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"


def _read_file(path: Path, read: Callable[[str], _T], drop: Callable[[_T], object]) -> _T:
    """Read without locks, again if it was written to meanwhile: a header cannot be looked at without dropping locks."""
    for _ in range(_ATTEMPTS):
        before = file_state(path)
        found = read(f"{_read_only(path)}&immutable=1")
        if file_state(path) == before:
            return found
        drop(found)
    return read(_read_only(path))


class _ChangedError(Exception):
    """The database was written to while it was copied."""


def _read_copy(path: Path, log: Path, read: Callable[[str], _T], *, steady: bool = False) -> _T:
    """Copy the files first: SQLite reads a log only if it can write to the directory, and changes files there.

    Raises:
        _ChangedError: the files changed while they were copied. Only if `steady` is set.
    """
    with tempfile.TemporaryDirectory(prefix="videostore-index-") as directory:
        copy = Path(directory, path.name)
        before = file_state(path), file_state(log)
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        if steady and (file_state(path), file_state(log)) != before:
            raise _ChangedError
        return read(copy.as_uri())


def _load(uri: str) -> sqlite3.Connection:
    deadline = time.monotonic() + INDEX_BUSY_S

    def give_up(status: int, _remaining: int, _total: int) -> None:
        if status in _BUSY and time.monotonic() > deadline:
            raise sqlite3.OperationalError("database is locked")

    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as source:
            source.backup(memory, progress=give_up)
    except BaseException:
        memory.close()
        raise
    return memory
