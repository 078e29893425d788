"""A snapshot: the content of a database in memory, taken without a change to its files, in use or not."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

from videostore.const import INDEX_BUSY_S

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
        with contextlib.suppress(sqlite3.OperationalError):  # on a read-only file system, after a crash
            return _load(f"{path.absolute().as_uri()}?mode=ro")
    # SQLite reads such a log only where it may write beside it.
    with tempfile.TemporaryDirectory(prefix="videostore-index-") as directory:
        copy = Path(directory, path.name)
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        return _load(copy.as_uri())


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
