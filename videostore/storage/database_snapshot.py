"""A snapshot: the content of a database in memory, taken without a change to its files, in use or not."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

from videostore.base.constants import INDEX_BUSY_S
from videostore.base.system import is_held

LOG_SUFFIX = "-wal"
SHARED_SUFFIX = "-shm"
_BUSY = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED, which Python names from 3.11 on."""


def take_snapshot(path: Path) -> sqlite3.Connection:
    """The database in memory; any thread may use it. Blocking.

    Raises:
        OSError: there is none, or it cannot be read.
        sqlite3.Error: it is damaged, or locked for too long.
    """
    log, shared = (path.with_name(path.name + suffix) for suffix in (LOG_SUFFIX, SHARED_SUFFIX))
    path.stat()
    if not log.exists() or not log.stat().st_size:  # nobody writes to it
        return _load(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
    if shared.exists():
        if not is_held(shared):
            with contextlib.suppress(_ChangedError):
                return _load_copy(path, log, steady=True)
        with contextlib.suppress(sqlite3.OperationalError):  # on a read-only file system, after a crash
            return _load(f"{path.absolute().as_uri()}?mode=ro")
    return _load_copy(path, log)


class _ChangedError(Exception):
    """Somebody wrote to the database while it was copied."""


def _load_copy(path: Path, log: Path, *, steady: bool = False) -> sqlite3.Connection:
    """SQLite reads a log only where it may write beside it, and leaves marks there.

    Raises:
        _ChangedError: `steady` was asked for, and it did not stay as it was.
    """
    with tempfile.TemporaryDirectory(prefix="videostore-index-") as directory:
        copy = Path(directory, path.name)
        before = _look(path), _look(log)
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        if steady and (_look(path), _look(log)) != before:
            raise _ChangedError
        return _load(copy.as_uri())


def _look(path: Path) -> tuple[int, int, int] | None:
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
