"""What became of the saves of a directory, by its index as it is on the disk: another process may be writing to it.

A reader has the rows of segments in a copy, which it keeps up to date by the files. Saves have no files that tell.
"""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from collections.abc import Set
from pathlib import Path

from videostore.base.tasks import off_loop
from videostore.storage.database_files import LOG_SUFFIX, SHARED_SUFFIX
from videostore.storage.index import FILE_NAME
from videostore.storage.save_record import SaveOutcome, SaveStatus

_BUSY_S = 1.0
_ATTEMPTS = 3
_State = tuple[object, ...]


class SavesOnDisk:
    """Reads the saves of one directory, when its index has changed since."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._state: _State | None = None
        self._known: dict[str, SaveOutcome] = {}

    async def outcomes(self, names: Set[str]) -> dict[str, SaveOutcome] | None:
        """What became of some, as far as it is remembered; None if that cannot be read at the moment."""
        state = await off_loop(_state, self._path)
        if state != self._state:
            read = await off_loop(_read, self._path)
            if read is None:
                return None
            self._state, self._known = state, read
        return {name: one for name, one in self._known.items() if name in names}


def _read(path: Path) -> dict[str, SaveOutcome] | None:
    """Blocking."""
    for _ in range(_ATTEMPTS):
        before = _state(path)
        if before[0] is None:
            return None
        log, shared = _beside(path)
        is_logged = bool(_size(log))
        if is_logged and not shared.exists():  # its process has crashed: SQLite would write to the directory
            return None
        # Without a log nothing is read but the file, which SQLite would make one for.
        mode = "mode=ro" if is_logged else "mode=ro&immutable=1"
        with contextlib.suppress(sqlite3.Error, OSError, ValueError):
            uri = f"{path.absolute().as_uri()}?{mode}"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as index:
                rows = list(index.execute("SELECT file_name, status, reason FROM saves"))
            found = {name: SaveOutcome(SaveStatus(status), reason) for name, status, reason in rows}
            if is_logged or _state(path) == before:
                return found
    return None


def _state(path: Path) -> _State:
    """Blocking. It differs when the index was written to."""
    return tuple(_stat(one) for one in (path, *_beside(path)[:1]))


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + LOG_SUFFIX), path.with_name(path.name + SHARED_SUFFIX)


def _size(path: Path) -> int:
    return found[1] if (found := _stat(path)) else 0


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):  # to open a named pipe would wait without end
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
