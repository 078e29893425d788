"""Whether the ffmpeg of a run stands still, as one does that waits for a disk that hangs."""

from __future__ import annotations

from collections.abc import Callable

READS_WITHIN_S = 15.0
"""An ffmpeg that works reads what there is within milliseconds."""
ENDS_WITHIN_S = 10.0
"""So long it may take to end a killed ffmpeg and to close its segments. The system kills none that waits for a disk."""


class Standstill:
    """Of one run."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._given = self._read = 0
        self._read_s = now_s()
        self._ending_s: float | None = None
        self.reads_nothing = False
        """Whether there was something to read for `READS_WITHIN_S`, and nothing was read."""

    def give(self, count: int) -> None:
        """So many bytes are given to ffmpeg."""
        self._given += count

    def look(self, unread: int) -> None:
        """So many bytes are not read yet. To be called a few times a second."""
        read, now_s = self._given - unread, self._now_s()
        if not unread or read != self._read:
            self._read, self._read_s = read, now_s
        self.reads_nothing = now_s - self._read_s > READS_WITHIN_S

    def end(self) -> None:
        """The run is ended: its ffmpeg is killed if it has not exited, and its segments are closed."""
        self._ending_s = self._now_s() if self._ending_s is None else self._ending_s

    @property
    def ends_late(self) -> bool:
        """Whether that takes longer than `ENDS_WITHIN_S`."""
        return self._ending_s is not None and self._now_s() - self._ending_s > ENDS_WITHIN_S
