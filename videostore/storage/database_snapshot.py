"""A snapshot: a copy of a database in memory. Its files are not changed, whether they are in use or not."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import stat
import tempfile
import time
from pathlib import Path

from videostore.base.system import is_held
from videostore.storage.database_connection import INDEX_BUSY_S
from videostore.storage.database_files import LOG_SUFFIX, SHARED_SUFFIX
from videostore.storage.database_journal import ROLLBACK_SUFFIX

_ATTEMPTS = 5
_BUSY = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED. Python has names for them from 3.11 on."""


def take_snapshot(path: Path) -> sqlite3.Connection:
    """Copy a database into memory, for use by any thread. Blocking.

    Raises:
        OSError: it does not exist, or cannot be read.
        sqlite3.Error: it is damaged, or locked for too long.
    """
    log, shared = (path.with_name(path.name + suffix) for suffix in (LOG_SUFFIX, SHARED_SUFFIX))
    if not stat.S_ISREG(path.stat().st_mode):  # to open a named pipe would wait without end
        raise sqlite3.OperationalError("it is not a regular file")
    if path.with_name(path.name + ROLLBACK_SUFFIX).exists():  # a process may be writing to it: the locks tell
        with contextlib.suppress(sqlite3.OperationalError):
            return _load(f"{path.absolute().as_uri()}?mode=ro")
    if not log.exists() or not log.stat().st_size:  # no process is writing to it, or one with a rollback journal
        return _load_unchanged(path)
    if shared.exists():
        if not is_held(shared):
            with contextlib.suppress(_ChangedError):
                return _load_copy(path, log, steady=True)
        with contextlib.suppress(sqlite3.OperationalError):  # fails on a read-only file system after a crash
            return _load(f"{path.absolute().as_uri()}?mode=ro")
    return _load_copy(path, log)


def _load_unchanged(path: Path) -> sqlite3.Connection:
    """Read without locks, again if it was written to meanwhile: a header cannot be looked at without dropping locks."""
    for _ in range(_ATTEMPTS):
        before = _state(path)
        memory = _load(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
        if _state(path) == before:
            return memory
        memory.close()
    return _load(f"{path.absolute().as_uri()}?mode=ro")


class _ChangedError(Exception):
    """The database was written to while it was copied."""


def _load_copy(path: Path, log: Path, *, steady: bool = False) -> sqlite3.Connection:
    """Copy the files first: SQLite reads a log only if it can write to the directory, and changes files there.

    Raises:
        _ChangedError: the files changed while they were copied. Only if `steady` is set.
    """
    with tempfile.TemporaryDirectory(prefix="videostore-index-") as directory:
        copy = Path(directory, path.name)
        before = _state(path), _state(log)
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        if steady and (_state(path), _state(log)) != before:
            raise _ChangedError
        return _load(copy.as_uri())


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


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
