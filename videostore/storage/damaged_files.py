"""Damaged files: segments that cannot be read. They are set aside in `damaged/`, and deleted only by its bounds.

What cannot be read today may be repaired by other programs, so nothing is deleted because of that. The directory counts
for the quota and holds a part of it at most.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from videostore.base.files import make_private_directory, sync_directory
from videostore.media.segment_names import name_time_us, parse_open_name

DAMAGED_DIRECTORY = "damaged"
"""Directory below the storage path."""

DAMAGED_SHARE = 0.1
"""How much of the quota it may hold: enough to look into, without costing much recording."""

_MAX_FILES = 10_000
"""Files may be empty, and then no number of bytes bounds them."""


_NAMES_TOLD = 10


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    size_bytes: int
    changed_ns: int


class DamagedFiles:
    """The unreadable segments of one storage directory. Files with other names in there are left alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / DAMAGED_DIRECTORY
        self.count = 0
        self.size_bytes = 0
        self.newest: tuple[str, ...] = ()
        """The names of those that were set aside last, as they were in the storage directory; the last one last."""

    def add(self, paths: Iterable[Path]) -> None:
        """Move files into it. One that is gone is passed over, and none is overwritten. Blocking.

        Raises:
            OSError: it cannot be created, or a file cannot be moved.
        """
        if self._directory.is_symlink():  # files would leave the storage path, and others be deleted there
            raise NotADirectoryError(errno.ENOTDIR, "it is a symbolic link", str(self._directory))
        make_private_directory(self._directory)
        for path in paths:
            target, number = self._directory / path.name, 1
            while os.path.lexists(target):
                number += 1
                target = self._directory / f"{path.name}.{number}"
            with contextlib.suppress(FileNotFoundError):
                size_bytes = path.lstat().st_size
                os.rename(path, target)
                self.count += 1
                self.size_bytes += size_bytes
                self.newest = (*self.newest, path.name)[-_NAMES_TOLD:]
                sync_directory(path.parent)
        sync_directory(self._directory)

    def measure(self) -> None:
        """Count what it holds. Blocking."""
        self.newest = tuple(_name_before(one.path.name) for one in self._list()[-_NAMES_TOLD:])

    def trim(self, bound_bytes: int) -> int:
        """Delete the oldest files until it holds at most `bound_bytes`; return how many were deleted. Blocking.

        Raises:
            OSError: a file cannot be deleted.
        """
        if self.size_bytes <= bound_bytes and self.count <= _MAX_FILES:
            return 0
        deleted = 0
        for file in self._list():
            if self.size_bytes <= bound_bytes and self.count <= _MAX_FILES:
                break
            file.path.unlink(missing_ok=True)
            self.count -= 1
            self.size_bytes -= file.size_bytes
            deleted += 1
        return deleted

    def _list(self) -> list[_File]:
        """Its files, the oldest first."""
        files = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._directory) as entries:
            for entry in () if self._directory.is_symlink() else entries:
                if _is_segment_name(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        files.append(_File(self._directory / entry.name, status.st_size, status.st_mtime_ns))
        self.count, self.size_bytes = len(files), sum(one.size_bytes for one in files)
        return sorted(files, key=lambda one: (one.changed_ns, one.path.name))


def _is_segment_name(name: str) -> bool:
    return any(name_time_us(one) is not None or parse_open_name(one) is not None for one in (name, _name_before(name)))


def _name_before(name: str) -> str:
    """The name without the number that it got because it was taken."""
    stem, _, number = name.rpartition(".")
    return stem if number.isdigit() else name
