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

FORMAT_STAYS_S = 1.0
"""Formats that each came for so long without the other are followed, however often they change: of one segment a second
the names do not outrun the clock."""

_MOST_KNOWN = 8
"""Formats of which it is known how long they came."""


class FormatGate:
    """Holds a camera whose images alternate fast between formats to one of them for a while. Times are capture times.

    How long a format comes cannot be known before: it is what it was the last time.
    """

    def __init__(self) -> None:
        self._changes_us: list[int] = []
        """When the last changes were followed."""
        self._current: StreamFormat | None = None
        self._seen_us = 0
        """When the current format last came."""
        self._coming: StreamFormat | None = None
        """The format that comes, whether or not it is recorded; since when, and when it came last."""
        self._coming_from_us = self._came_us = 0
        self._stayed: dict[StreamFormat, bool] = {}
        """Whether formats stayed, the last time that they came."""

    def admits(self, format: StreamFormat, captured_us: int) -> bool:
        """Whether a frame is to be recorded: it has the current format, or the format may change."""
        if self._coming is not format and self._coming != format:
            self._note_end()
            self._coming, self._coming_from_us = format, captured_us
        self._came_us = captured_us
        current = self._current
        if current is not format and current is not None and current != format:
            gone = abs(captured_us - self._seen_us) >= FORMAT_GONE_S * US_PER_SECOND
            since_us = captured_us - CHANGES_AT_ONCE * CHANGE_EVERY_S * US_PER_SECOND
            self._changes_us = [time_us for time_us in self._changes_us if since_us < time_us <= captured_us]
            stay = self._stayed.get(format, False) and self._stayed.get(current, False)
            if not (gone or stay or self._may_change(captured_us)):
                return False
            self._changes_us.append(captured_us)
        self._current, self._seen_us = format, captured_us
        return True

    def _note_end(self) -> None:
        """Another format comes: note whether the last one stayed."""
        if self._coming is None:
            return
        self._stayed.pop(self._coming, None)
        self._stayed[self._coming] = abs(self._came_us - self._coming_from_us) >= FORMAT_STAYS_S * US_PER_SECOND
        while len(self._stayed) > _MOST_KNOWN:
            del self._stayed[next(iter(self._stayed))]

    def _may_change(self, captured_us: int) -> bool:
        if len(self._changes_us) < CHANGES_AT_ONCE:
            return True
        return captured_us - self._changes_us[-1] >= CHANGE_EVERY_S * US_PER_SECOND
