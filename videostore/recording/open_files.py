"""The files that the ffmpeg of a run is writing: they still have their open names, which end with a number."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from videostore.base.files import sync_file
from videostore.media.segment_names import open_name


class OpenFiles:
    """Finds the open files of a run, and forces the last one to disk. Any thread may use it."""

    def __init__(self, directory: Path, epoch_us: int) -> None:
        self.directory = directory
        self._epoch_us = epoch_us
        self._numbering = threading.Lock()
        self._first = self._last = 0
        """Numbers of the oldest open file, and of the newest one."""
        self._paths: dict[int, Path] = {}
        """The paths that were looked up last: to make one takes longer than to look it up."""
        self._synced = (0, 0, 0)
        """Inode, size and time of change of the file that was synced last, before that."""
        self.known: list[Path] = []
        """What `find` found last."""

    def find(self) -> list[Path]:
        """The files, in order: the last one is being written.

        A file that cannot be looked up because the disk fails is treated as if nothing had changed. Blocking.
        """
        with self._numbering:
            while _exists(self._path(self._last + 1), unknown=False):
                self._last += 1
            self._paths = {number: self._path(number) for number in range(self._first, self._last + 2)}
            looked_up = range(self._first, self._last + 1)
            found = {number: self._paths[number] for number in looked_up if _exists(self._paths[number], unknown=True)}
            self._first = min(found, default=self._last)
            self.known = list(found.values())
            return self.known

    def sync(self) -> None:
        """Sync the file that is being written to disk, if it has changed. Blocking."""
        for path in self.find()[-1:]:
            with contextlib.suppress(FileNotFoundError):  # it was closed and renamed in the meantime
                status = os.stat(path)
                state = (status.st_ino, status.st_size, status.st_mtime_ns)
                if state != self._synced:
                    sync_file(path)
                    self._synced = state

    def _path(self, number: int) -> Path:
        return self._paths.get(number) or self.directory / open_name(self._epoch_us, number)


def _exists(path: Path, *, unknown: bool) -> bool:
    try:
        os.stat(path)  # of a file that is missing, `Path.exists` takes four times as long
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return unknown
    return True
