"""Decides whether a frame of another format may begin a new run."""

from __future__ import annotations

from videostore.base.constants import US_PER_SECOND
from videostore.media.packet import StreamFormat

CHANGES_AT_ONCE = 3
"""So many changes of the format are followed at once; each starts an ffmpeg and a segment."""

CHANGE_EVERY_S = 10.0
"""Beyond these, one in this time: segments are named by the second, so their names must not outrun the clock."""

FORMAT_GONE_S = 1.0
"""A format that has not come for this long is not one of several that alternate."""


class FormatGate:
    """Holds a camera whose images alternate between formats to one of them for a while. Times are capture times."""

    def __init__(self) -> None:
        self._changes_us: list[int] = []
        """When the last changes were followed."""
        self._current: StreamFormat | None = None
        self._seen_us = 0
        """When the current format last came."""

    def admits(self, format: StreamFormat, captured_us: int) -> bool:
        """Whether a frame is to be recorded: it has the current format, or the format may change."""
        current = self._current
        if current is not format and current is not None and current != format:
            gone = abs(captured_us - self._seen_us) >= FORMAT_GONE_S * US_PER_SECOND
            since_us = captured_us - CHANGES_AT_ONCE * CHANGE_EVERY_S * US_PER_SECOND
            self._changes_us = [time_us for time_us in self._changes_us if since_us < time_us <= captured_us]
            if not gone and not self._may_change(captured_us):
                return False
            self._changes_us.append(captured_us)
        self._current, self._seen_us = format, captured_us
        return True

    def _may_change(self, captured_us: int) -> bool:
        if len(self._changes_us) < CHANGES_AT_ONCE:
            return True
        return captured_us - self._changes_us[-1] >= CHANGE_EVERY_S * US_PER_SECOND
