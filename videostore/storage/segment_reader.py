"""Reads closed segments for the index, and sets aside those that stay unreadable for half an hour. All of it blocks."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from videostore.base.errors import reason_of
from videostore.media.libav import errors_of_reading
from videostore.media.segment import Segment, UnknownFileError, UnreadableError, probe
from videostore.storage.damaged_files import DAMAGED_DIRECTORY, DamagedFiles
from videostore.storage.reading_processes import ReadingProcesses
from videostore.storage.segment_files import UNREADABLE_AGE_S, holds_no_frame, is_young, read_through

MOST_WAITING = 1000
"""Unreadable files that are remembered: far more than a module that was killed leaves."""

_Stamp = tuple[int, int]
"""Size of a file, and when it was last changed: what differs while a process writes it."""


class SegmentReader:
    """Reads the segments of one directory."""

    def __init__(
        self,
        directory: Path,
        logger: logging.Logger,
        *,
        keep_unreadable: bool,
        damaged: DamagedFiles | None = None,
    ) -> None:
        """With `keep_unreadable`, files that cannot be read stay where they are."""
        self._directory = directory
        self._damaged = damaged or DamagedFiles(directory)
        self._logger = logger
        self._keep_unreadable = keep_unreadable
        self._processes: ReadingProcesses | None = None
        self.walking = False
        """Whether all of the directory is being read, and not only what an event has named."""
        self._waiting: dict[str, _Stamp | None] = {}
        """As they were at the last walk; None before the first."""
        self._begun: tuple[str, ...] = ()
        """Names of files without a frame that were told."""
        self.unreadable: tuple[str, ...] = ()
        """Names of files that cannot be read and are still in their place. They are the last `MOST_WAITING`."""

    def use_processes(self) -> None:
        """Let several processes read, until `end_processes`. Blocking."""
        with contextlib.suppress(OSError):  # then this one reads
            self._processes = ReadingProcesses(self._directory)

    def end_processes(self) -> None:
        """Blocking, for a moment."""
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def read_all(self, file_names: Iterable[str]) -> list[Segment]:
        """The segments that these files hold. A file that cannot be read is logged and left out. Blocking."""
        segments, names = [], list(file_names)
        found = self._processes.read(names) if self._processes is not None else {}
        for name in names:
            try:
                segments.append(found.get(name) or probe(self._directory / name))
                self._forget(name)
            except UnreadableError:
                with contextlib.suppress(OSError):
                    self.set_aside(self._directory / name)
            except UnknownFileError as error:
                self._logger.debug("Ignoring %s: %s.", name, error)
            except FileNotFoundError:
                continue  # deleted in the meantime
            except errors_of_reading() as error:  # the next walk over the directory reads it again
                self._logger.warning("%s cannot be read at the moment (%s). Trying again later.", name, error)
            except Exception:  # one file must not keep the others from being read
                self._logger.exception("%s cannot be read.", name)
        return segments

    def set_aside(self, path: Path) -> None:
        """Move a file that cannot be read to `damaged/`, unless a process may still be writing it. Blocking.

        That may be so if it is young, or has changed since the last walk over the directory. What was begun and holds
        no frame is no damage: it is removed then.

        Raises:
            OSError: the file's status cannot be read.
        """
        try:
            status = path.lstat()
        except FileNotFoundError:
            self._forget(path.name)
            return
        if not self._keep_unreadable and holds_no_frame(path):
            self._remove_begun(path, status)
            return
        stamp, before = _stamp(status), self._waiting.get(path.name)
        is_new = path.name not in self._waiting
        self._remember(path.name, stamp if self.walking else before)
        if is_young(status) or (self.walking and before is not None and _is_written(before, stamp)):
            if is_new and not self._keep_unreadable:
                self._logger.warning(
                    "%s (%d bytes) cannot be read. If this lasts, it is moved to %s/ %d minutes after its last change.",
                    path.name,
                    status.st_size,
                    DAMAGED_DIRECTORY,
                    UNREADABLE_AGE_S // 60,
                )
            return
        if self._keep_unreadable:
            self._logger.warning("%s (%d bytes) cannot be read. Keeping it.", path.name, status.st_size)
            return
        try:
            read_through(path)
            if _is_written(stamp, _stamp(path.lstat())):
                return
        except OSError as error:  # the disk may be at fault, not the file
            self._logger.warning(
                "%s cannot be read at the moment (%s). Trying again later.", path.name, reason_of(error)
            )
            return
        self._logger.warning(
            "%s (%d bytes) cannot be read. Moving it to %s/.", path.name, status.st_size, DAMAGED_DIRECTORY
        )
        try:
            self._damaged.add([path])
        except OSError as error:
            self._logger.error("%s cannot be moved: %s. Trying again later.", path.name, reason_of(error))
        else:
            self._forget(path.name)

    def _remove_begun(self, path: Path, status: os.stat_result) -> None:
        if is_young(status):
            if path.name not in self._begun:
                self._begun = (*self._begun[-MOST_WAITING:], path.name)
                self._logger.info("%s holds no frame: its recorder was ended in its first second.", path.name)
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._logger.error("%s cannot be deleted: %s. Trying again later.", path.name, reason_of(error))
        else:
            self._logger.info("Removed %s, which holds no frame.", path.name)

    def forget_vanished(self) -> None:
        """Forget unreadable files that are gone. Blocking."""
        for name in self.unreadable:
            if not os.path.lexists(self._directory / name):
                self._forget(name)

    def _remember(self, name: str, stamp: _Stamp | None) -> None:
        self._waiting[name] = stamp
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self.unreadable = tuple(self._waiting)

    def _forget(self, name: str) -> None:
        if name in self._waiting:
            del self._waiting[name]
            self.unreadable = tuple(self._waiting)


def _is_written(before: _Stamp, now: _Stamp) -> bool:
    """Whether a process wrote a file meanwhile. Copying programs make it older at their end, which is no writing."""
    return now[0] != before[0] or now[1] > before[1]


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_size, status.st_mtime_ns
