"""Links to closed segments, under which a clip can read them to their end even if they are deleted."""

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
    """Gives segments second names in a workspace, as long as its context lasts.

    They are hard links. Read-only, where these would change what is not to be changed, they lead to descriptors.
    """

    def __init__(self, directory: Path, work: Path, *, read_only: bool) -> None:
        self._directory = directory
        self._work = work
        self._read_only = read_only
        self._descriptors: list[int] = []
        self._pinning = threading.Lock()
        self._closed = False

    def __enter__(self) -> SegmentLinks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing more is pinned, not even by a thread for which nobody waits any more, and whose disk may hang."""
        self._closed = True
        self._end()

    def pin(self, segments: Sequence[Segment]) -> list[tuple[Segment, Path]]:
        """The segments and their second names; their own where the system has no others. Blocking.

        What was pinned before is given up. Of more segments than can be open at once the first are pinned: they are
        the first that are deleted.
        """
        pinned = []
        with self._pinning:
            self._release()
            room = descriptor_room(len(segments)) if self._read_only else len(segments)
            for number, segment in enumerate(segments):
                path, name = self._directory / segment.file_name, self._work / segment.file_name
                if self._closed or number >= room or not self._pin(path, name):
                    name = path
                pinned.append((segment, name))
        if self._closed:
            self._end()
        return pinned

    def _end(self) -> None:
        if self._pinning.acquire(blocking=False):  # else whoever is at it does this afterwards
            try:
                self._release()
            finally:
                self._pinning.release()

    def _pin(self, path: Path, name: Path) -> bool:
        try:
            name.unlink(missing_ok=True)  # looked for again
            if not self._read_only:
                os.link(path, name)
                return True
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self._descriptors.append(descriptor)
            lasting = name_of_descriptor(descriptor)
            if lasting is not None:
                name.symlink_to(lasting)
            return lasting is not None
        except OSError:  # the file system has no links; or the file is gone, which is noticed when it is read
            return False

    def _release(self) -> None:
        while self._descriptors:
            with contextlib.suppress(OSError):
                os.close(self._descriptors.pop())
