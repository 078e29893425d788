"""The journal of a database: which kind a file system can carry. All of it blocks.

SQLite's write-ahead log needs memory that processes share through a file, which some network and FUSE file systems do
not offer. On those that copy what is written, such as btrfs, every write to it may need room: where a quota or the
device leaves none, the system ends the process (SIGBUS). There the index has a rollback journal: each commit costs two
syncs more.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from videostore.base.system import file_system
from videostore.storage.database_files import LOG_SUFFIX, SHARED_SUFFIX

WRITE_AHEAD = "WAL"
ROLLBACK = "DELETE"
"""SQLite's own default."""

ROLLBACK_SUFFIX = "-journal"
_COPYING = frozenset({"btrfs", "bcachefs"})
_PROBE_SUFFIX = ".probe"
_FORMAT_AT = 18
"""Where a database says with which kind of journal it is written: 2 is the write-ahead log."""


def choose_journal(path: Path) -> str:
    """The best journal for a database, found out with another one in its directory if need be."""
    if file_system(path.parent) in _COPYING:
        return ROLLBACK
    if is_write_ahead(path) and _works(path, WRITE_AHEAD):
        return WRITE_AHEAD
    probe = path.with_name(path.name + _PROBE_SUFFIX)
    try:
        for journal in (WRITE_AHEAD, ROLLBACK):
            _remove(probe)
            if _works(probe, journal, create=True):
                return journal
    finally:
        _remove(probe)
    return WRITE_AHEAD  # the trouble is another one


def leave_write_ahead(path: Path) -> None:
    """Give an existing database, whose log cannot be used here, a rollback journal.

    Raises:
        sqlite3.Error: that is not possible.
    """
    if not is_write_ahead(path):
        return
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # then the log needs no shared memory
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        connection.execute(f"PRAGMA journal_mode = {ROLLBACK}")


def is_write_ahead(path: Path) -> bool:
    """Whether a database is written with a write-ahead log; False if it does not exist or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe would wait without end
    except OSError:
        return False
    # Closing a descriptor drops the locks of this process: this is only called while no connection is open.
    try:
        return os.pread(descriptor, 1, _FORMAT_AT) == b"\2"
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _works(path: Path, journal: str, *, create: bool = False) -> bool:
    """Whether a database can be used with a journal. One that is locked or damaged is for the caller to meet."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
            if create:
                connection.execute("CREATE TABLE probe (number INTEGER)")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except sqlite3.Error:
        pass
    return True


def _remove(path: Path) -> None:
    for suffix in ("", LOG_SUFFIX, SHARED_SUFFIX, ROLLBACK_SUFFIX):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink()
