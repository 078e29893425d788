"""The files of a database: noticing that they are replaced or damaged, and renaming a damaged one. All of it blocks."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from videostore.base.files import sync_file

LOG_SUFFIX = "-wal"
SHARED_SUFFIX = "-shm"
_MAGIC = b"SQLite format 3\0"


class DatabaseFiles:
    """Watches the files of an open database. Owns a descriptor, which must be closed after the connection.

    Closing a descriptor drops all locks that this process has on the file. Another process that closed the database
    would then find no other user, and delete the log.
    """

    def __init__(self, path: Path) -> None:
        """Call this when the connection is open.

        Raises:
            OSError: the file cannot be read.
        """
        self._paths = (path, log_path(path))
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._inodes = [_inode(one) for one in self._paths]

    def trouble(self) -> str | None:
        """What is wrong with the files, which SQLite itself may notice much later; None if nothing is. Blocking."""
        if [_inode(one) for one in self._paths] != self._inodes:
            return "its file was removed or replaced"
        return None if os.pread(self._descriptor, len(_MAGIC), 0) == _MAGIC else "its file is damaged"

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


def log_path(path: Path) -> Path:
    """The log of a database, which holds what was committed last."""
    return path.with_name(path.name + LOG_SUFFIX)


def sync_log(path: Path) -> None:
    """Force everything that was committed to stable storage. Blocking.

    Raises:
        OSError: the log cannot be read or synced.
    """
    # The log alone: opening and closing the database itself would drop the locks that this process has on it.
    with contextlib.suppress(FileNotFoundError):
        sync_file(log_path(path))


def aside_path(path: Path) -> Path:
    """The name under which a damaged database is kept."""
    return path.with_name(f"{path.name}.damaged-{int(time.time())}")


def set_aside(path: Path, aside: Path) -> None:
    """Rename a damaged database, and delete its log and older damaged ones. Blocking.

    Raises:
        OSError: it cannot be renamed.
    """
    for older in path.parent.glob(f"{path.name}.damaged-*"):  # one is enough for an investigation
        older.unlink(missing_ok=True)
    path.rename(aside)
    for suffix in (LOG_SUFFIX, SHARED_SUFFIX):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def _inode(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
