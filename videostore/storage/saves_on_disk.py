"""What became of the saves of a directory, by its index as it is on the disk: another process may be writing to it.

A reader has the rows of segments in a copy, which it keeps up to date by the files. Saves have no files that tell.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Set
from pathlib import Path

from videostore.base.tasks import off_loop
from videostore.storage.database_files import LOG_SUFFIX
from videostore.storage.database_snapshot import file_state, read_unchanged
from videostore.storage.index import FILE_NAME
from videostore.storage.save_record import SaveOutcome, SaveStatus

_BUSY_S = 1.0
_State = tuple[object, ...]


class SavesOnDisk:
    """Reads the saves of one directory, when its index has changed since."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._state: _State | None = None
        self._known: dict[str, SaveOutcome] = {}

    async def outcomes(self, names: Set[str]) -> dict[str, SaveOutcome] | None:
        """What became of some, as far as it is remembered; None if that cannot be read at the moment."""
        try:
            state = await off_loop(_state, self._path)
            if state != self._state:
                self._known = await off_loop(read_unchanged, self._path, _read)
                self._state = state
        except (OSError, sqlite3.Error, ValueError):
            return None
        return {name: one for name, one in self._known.items() if name in names}


def _read(address: str) -> dict[str, SaveOutcome]:
    """Blocking."""
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=_BUSY_S)) as index:
        rows = list(index.execute("SELECT file_name, status, reason FROM saves"))
    return {name: SaveOutcome(SaveStatus(status), reason) for name, status, reason in rows}


def _state(path: Path) -> _State:
    """Blocking. It differs when the index was written to."""
    return file_state(path), file_state(path.with_name(path.name + LOG_SUFFIX))
