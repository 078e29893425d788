"""Names of segments that are something else now, such as a link, a pipe or a directory: no video is stored there.

What is there belongs to another program, so it is neither opened nor removed. That the video is gone is told.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterable, Mapping
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
        self._names: tuple[str, ...] = ()
        """Those that something else had at the last look."""
        self._held: Mapping[str, Range] = {}
        """When that was captured which segments held that have no file now. Replaced, never changed: threads read it.
        """

    def gone(self, file_names: Iterable[str]) -> list[str]:
        """Those of these segments that have no file. Blocking."""
        return [name for name in file_names if is_gone(self._directory / name)]

    def note(self, forgotten: Iterable[Segment]) -> None:
        """Note segments that left the index because they have no file, and what is in their places. Blocking."""
        held = {one.file_name: Range(one.start_us, one.end_us) for one in forgotten}
        self._held = {**self._held, **held}
        self.look_at(held)
        kept = {*_newest(self._held), *self._names}
        self._held = {name: stored for name, stored in self._held.items() if name in kept}

    def look_at(self, file_names: Iterable[str]) -> None:
        """Note what has taken the names of segments that have no file. Blocking."""
        taken = set(self._names)
        for name in file_names:
            kind = kind_in_place(self._directory / name) if name in self._held and name not in taken else None
            if kind is not None:
                self._logger.warning("%s is %s, not a file. The video that it held is gone.", name, kind)
                taken.add(name)
        self._names = _newest(taken)

    def set_listed(self, file_names: Iterable[str]) -> None:
        """Take the names that a walk over the directory has found."""
        self._names = _newest(file_names)

    def look(self) -> tuple[ReplacedFile, ...]:
        """What is there now, by the times in the names. Blocking."""
        held = self._held
        found = ((name, kind_in_place(self._directory / name)) for name in self._names)
        return tuple(ReplacedFile(name, kind, held.get(name)) for name, kind in found if kind is not None)


def _newest(file_names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(file_names, key=_time_us)[-MOST_REPLACED:])


def _time_us(file_name: str) -> int:
    run = parse_open_name(file_name)
    return run[0] if run is not None else name_time_us(file_name) or 0
