"""Second names for segments, so that a clip can read them even if they are closed or deleted meanwhile."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from videostore.base.system import descriptor_room, name_of_descriptor
from videostore.clips.compact_list import CompactList
from videostore.media.segment import Segment


class SegmentLinks:
    """Gives segments second names in a workspace until its context ends.

    The names are hard links. Read-only, where hard links would change the storage directory, they are symbolic links to
    open file descriptors. So are those of open segments on file systems without hard links.
    """

    def __init__(self, directory: Path, work: Path, *, read_only: bool) -> None:
        self._directory = directory
        self.work = work
        self._read_only = read_only
        self._descriptors: list[int] = []
        self._linking = threading.Lock()
        self._closed = False

    def __enter__(self) -> SegmentLinks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def holds_files(self) -> bool:
        """Whether it keeps files open, which may take a while to close on a disk that hangs."""
        return bool(self._descriptors) or self._linking.locked()

    def close(self) -> None:
        """Release all segments. A thread that still links some, perhaps on a disk that hangs, is not waited for."""
        self._closed = True
        self._release_unless_linking()

    def link(
        self, segments: Sequence[Segment], opened: Sequence[tuple[Segment, Path]] = ()
    ) -> CompactList[tuple[Segment, Path]]:
        """Open segments, then closed ones, with their second names, or with their own where the system offers no second
        ones. Blocking.

        Releases what was linked before. If there are more segments than files that can be open at once, the first ones
        are linked, because the quota deletes the oldest first.
        """
        linked = CompactList[tuple[Segment, Path]]()
        with self._linking:
            self._release()
            room = descriptor_room(len(segments) + len(opened)) if self._read_only else len(segments)
            for segment, path in opened:
                linked.append((segment, self._second_name(path, opened=True)))
            for number, segment in enumerate(segments, len(opened) if self._read_only else 0):
                path = self._directory / segment.file_name
                linked.append((segment, self._second_name(path) if number < room else path))
        if self._closed:
            self._release_unless_linking()
        return linked

    def _release_unless_linking(self) -> None:
        if self._linking.acquire(blocking=False):  # otherwise the thread that links releases them afterwards
            try:
                self._release()
            finally:
                self._linking.release()

    def _second_name(self, path: Path, *, opened: bool = False) -> Path:
        if self._closed:
            return path
        name = self._link(path)
        if name is None and (opened or self._read_only):
            name = self._open(path)
        return name or path

    def _link(self, path: Path) -> Path | None:
        """A hard link; None if the file system has none, or if the file does not exist, which shows when it is read."""
        name = self.work / path.name
        with contextlib.suppress(OSError):
            if not self._read_only:
                name.unlink(missing_ok=True)  # of an earlier attempt
                os.link(path, name)
                return name
        return None

    def _open(self, path: Path) -> Path | None:
        """A name that leads to an open descriptor; None if the system has no such names."""
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self._descriptors.append(descriptor)
            lasting = name_of_descriptor(descriptor)
            if lasting is None:
                return None
            name = self.work / path.name
            try:
                name.unlink(missing_ok=True)
                name.symlink_to(lasting)
            except OSError:  # no symbolic links either
                return Path(lasting)
            return name
        return None

    def _release(self) -> None:
        while self._descriptors:
            with contextlib.suppress(OSError):
                os.close(self._descriptors.pop())
