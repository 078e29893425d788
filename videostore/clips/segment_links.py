"""Second names for closed segments, so that a clip can read them to their end even if they are deleted."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from videostore.base.system import descriptor_room, name_of_descriptor
from videostore.media.segment import Segment


class SegmentLinks:
    """Gives segments second names in a workspace until its context ends.

    The names are hard links. Read-only, where hard links would change the storage directory, they are symbolic links to
    open file descriptors.
    """

    def __init__(self, directory: Path, work: Path, *, read_only: bool) -> None:
        self._directory = directory
        self._work = work
        self._read_only = read_only
        self._descriptors: list[int] = []
        self._linking = threading.Lock()
        self._closed = False

    def __enter__(self) -> SegmentLinks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release all segments. A thread that still links some, perhaps on a disk that hangs, is not waited for."""
        self._closed = True
        self._release_unless_linking()

    def link(self, segments: Sequence[Segment]) -> list[tuple[Segment, Path]]:
        """The segments with their second names, or with their own where the system offers no second ones. Blocking.

        Releases what was linked before. If there are more segments than files that can be open at once, the first ones
        are linked, because the quota deletes the oldest first.
        """
        linked = []
        with self._linking:
            self._release()
            room = descriptor_room(len(segments)) if self._read_only else len(segments)
            for number, segment in enumerate(segments):
                path, name = self._directory / segment.file_name, self._work / segment.file_name
                if self._closed or number >= room or not self._link(path, name):
                    name = path
                linked.append((segment, name))
        if self._closed:
            self._release_unless_linking()
        return linked

    def _release_unless_linking(self) -> None:
        if self._linking.acquire(blocking=False):  # otherwise the thread that links releases them afterwards
            try:
                self._release()
            finally:
                self._linking.release()

    def _link(self, path: Path, name: Path) -> bool:
        try:
            name.unlink(missing_ok=True)  # of an earlier attempt
            if not self._read_only:
                os.link(path, name)
                return True
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self._descriptors.append(descriptor)
            lasting = name_of_descriptor(descriptor)
            if lasting is not None:
                name.symlink_to(lasting)
            return lasting is not None
        except OSError:  # the file system has no links, or the file does not exist, which shows when it is read
            return False

    def _release(self) -> None:
        while self._descriptors:
            with contextlib.suppress(OSError):
                os.close(self._descriptors.pop())
