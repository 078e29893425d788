"""Reads closed segments for the index, and sets aside those that stay unreadable for half an hour. All of it blocks."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

import av.error

from videostore.base.errors import reason_of
from videostore.media.segment import Segment, UnknownFileError, UnreadableError, probe
from videostore.storage.damaged_files import DAMAGED_DIRECTORY, DamagedFiles
from videostore.storage.segment_files import is_young, read_through


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

    def read_all(self, file_names: Iterable[str]) -> list[Segment]:
        """The segments that these files hold. A file that cannot be read is logged and left out. Blocking."""
        segments = []
        for name in file_names:
            try:
                segments.append(probe(self._directory / name))
            except UnreadableError:
                with contextlib.suppress(OSError):
                    self.set_aside(self._directory / name)
            except UnknownFileError as error:
                self._logger.debug("Ignoring %s: %s.", name, error)
            except FileNotFoundError:
                continue  # deleted in the meantime
            except (OSError, av.error.FFmpegError) as error:  # the next walk over the directory reads it again
                self._logger.warning("%s cannot be read at the moment (%s). Trying again later.", name, error)
            except Exception:  # one file must not keep the others from being read
                self._logger.exception("%s cannot be read.", name)
        return segments

    def set_aside(self, path: Path) -> None:
        """Move a file that cannot be read to `damaged/`, unless a process may still be writing it. Blocking.

        Raises:
            OSError: the file's status cannot be read.
        """
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        if is_young(status):
            self._logger.debug("%s cannot be read yet.", path.name)
            return
        if self._keep_unreadable:
            self._logger.warning("%s (%d bytes) cannot be read. Keeping it.", path.name, status.st_size)
            return
        try:
            read_through(path)
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
