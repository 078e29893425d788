"""Names of segments that are something else now, such as a link, a pipe or a directory: no video is stored there.

What is there belongs to another program, so it is neither opened nor removed. That the video is gone is told.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from videostore.base.files import kind_of_file
from videostore.base.ranges import Range
from videostore.media.segment import Segment
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.notes_text import RecordingGap

MOST_REPLACED = 1000
"""So many are remembered, the newest by their names: far more than a person looks through."""


@dataclass(frozen=True, slots=True)
class ReplacedFile:
    """A name of a segment that is no file."""

    file_name: str
    kind: str
    """What is there, such as `a pipe`."""
    stored: Range | None = None
    """When that was captured which the segment held; None if that is not known."""

    @property
    def reason(self) -> str:
        """Why its video is not stored."""
        return f"{self.file_name} is {self.kind}, not a file"

    @property
    def gap(self) -> RecordingGap | None:
        """The gap that this makes in the recording, if it is known."""
        return RecordingGap(self.stored.from_us, self.stored.to_us, self.reason) if self.stored is not None else None


def is_gone(path: Path) -> bool:
    """Whether there is no segment's file: nothing at all, or something else. Blocking.

    A disk that does not tell it now may tell it later, so this is no reason to forget a segment.
    """
    try:
        return not stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def kind_in_place(path: Path) -> str | None:
    """What is in the place of a segment; None if it is a file, or if nothing is there. Blocking."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else kind_of_file(mode)


class ReplacedFiles:
    """Those of one storage directory, as the last walk found them and as file events told since."""

    def __init__(self, directory: Path, logger: logging.Logger) -> None:
        self._directory = directory
        self._logger = logger
        self._stored: dict[str, Range | None] = {}

    def gone(self, file_names: Iterable[str]) -> list[str]:
        """Those of these segments that have no file. Blocking."""
        return [name for name in file_names if is_gone(self._directory / name)]

    def note(self, forgotten: Iterable[Segment]) -> None:
        """Note those of the segments that left the index in whose places something is. Blocking."""
        for one in forgotten:
            kind = kind_in_place(self._directory / one.file_name)
            if kind is not None and one.file_name not in self._stored:
                self._logger.warning("%s is %s, not a file. The video that it held is gone.", one.file_name, kind)
            if kind is not None:
                self._stored[one.file_name] = Range(one.start_us, one.end_us)
        self._trim()

    def set_listed(self, file_names: Iterable[str]) -> None:
        """Take the names that a walk over the directory has found."""
        self._stored = {name: self._stored.get(name) for name in file_names}
        self._trim()

    def look(self) -> tuple[ReplacedFile, ...]:
        """What is there now, by the times in the names. Blocking."""
        found = ((name, kind_in_place(self._directory / name), stored) for name, stored in self._stored.items())
        return tuple(ReplacedFile(name, kind, stored) for name, kind, stored in found if kind is not None)

    def _trim(self) -> None:
        names = sorted(self._stored, key=_time_us)[-MOST_REPLACED:]
        self._stored = {name: self._stored[name] for name in names}


def _time_us(file_name: str) -> int:
    run = parse_open_name(file_name)
    return run[0] if run is not None else name_time_us(file_name) or 0
