"""Dates the frames of a source that gives their distances but not their time of day, by when they arrive."""

from __future__ import annotations

import bisect

from videostore.base.constants import CAPTURED_AT_PLAUSIBLE_US, US_PER_SECOND

ARRIVAL_DRIFT_PPM = 500
"""How fast a camera's clock may drift against ours: as fast as slewing moves a clock, and much faster than quartz
drifts."""
FOLLOW_PPM = 5000
"""How fast times follow a better estimate: half a percent of a distance, so 5 ms of a second, is not seen."""
FOLLOW_FROM_US = 3 * US_PER_SECOND
"""At first they follow at once: until then every frame is read when it arrives, and the estimate is still found."""
FOLLOW_WITHIN_US = 100_000
"""And whenever they are later than this: a wrong time is then worse than one wrong distance."""

_REMEMBERED = 32
"""No decoder holds so many frames back because of their order."""
_LATEST_US = 1 << 62
_ROOM_PART = 1000
"""Frames that must be later than the estimate get a thousandth of their distance."""


class ArrivalTimeEstimator:
    """The offset of a live stream's timestamps from UTC, estimated while its frames arrive.

    Every frame is delayed on its way and none arrives before its capture, so the smallest delay seen is the best
    estimate. The estimate goes down to it at once, and up no faster than a camera's clock may drift. Times follow the
    estimate slowly, so that a frame that was quicker than all others changes no distance between two frames.
    """

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._arrived_us = self._began_us = 0
        self._followed: tuple[int, int] | None = None
        """The latest timestamp that was dated, and the offset that it was given."""
        self._dated: list[tuple[int, int]] = []
        """The last frames: their timestamps, sorted, and their capture times."""

    def observe(self, pts_us: int, arrived_us: int) -> bool:
        """Add an arrival to the estimate; False, without adding it, if the stream's timestamps have jumped."""
        delay_us = arrived_us - pts_us
        if self._offset_us is None:
            self._offset_us, self._began_us = delay_us, arrived_us
        elif abs(delay_us - self._offset_us) > CAPTURED_AT_PLAUSIBLE_US:
            return False
        else:
            drift_us = max(0, arrived_us - self._arrived_us) * ARRIVAL_DRIFT_PPM // US_PER_SECOND
            self._offset_us = min(delay_us, self._offset_us + drift_us)
        self._arrived_us = max(self._arrived_us, arrived_us)
        return True

    def is_late(self, pts_us: int, arrived_us: int) -> bool:
        """Whether a frame arrives later than all before it let expect."""
        return self._offset_us is not None and arrived_us - pts_us > self._offset_us

    def date(self, pts_us: int) -> int:
        """Capture time of the next frame, UTC; always later than that of the frame that is shown before it, and earlier
        than that of the one behind it, whatever the estimate does.
        """
        captured_us = pts_us + self._follow(pts_us)
        at = bisect.bisect_right(self._dated, (pts_us, _LATEST_US))
        if at > 0:
            before_pts_us, before_us = self._dated[at - 1]
            if at < len(self._dated):
                after_pts_us, after_us = self._dated[at]
                if not before_us < captured_us < after_us:
                    share_us = (after_us - before_us) * (pts_us - before_pts_us)
                    captured_us = before_us + share_us // max(after_pts_us - before_pts_us, 1)
            else:  # frames that are shown before this one may follow, and need room
                room_us = min(max((pts_us - before_pts_us) // _ROOM_PART, 1), _REMEMBERED)
                captured_us = max(captured_us, before_us + room_us)
        elif self._dated:
            captured_us = min(captured_us, self._dated[0][1] - 1)
        self._dated.insert(at, (pts_us, captured_us))
        del self._dated[:-_REMEMBERED]
        return captured_us

    def _follow(self, pts_us: int) -> int:
        """The offset of a frame: the estimate, or what lies between that and the offset of the last one."""
        assert self._offset_us is not None
        if self._followed is None or self._arrived_us - self._began_us < FOLLOW_FROM_US:
            self._followed = pts_us, self._offset_us
            return self._offset_us
        latest_us, offset_us = self._followed
        most_us = max(0, pts_us - latest_us) * FOLLOW_PPM // US_PER_SECOND
        late_us = offset_us - self._offset_us
        if late_us > FOLLOW_WITHIN_US:
            offset_us = self._offset_us
        else:
            offset_us -= max(-most_us, min(most_us, late_us))
        self._followed = max(latest_us, pts_us), offset_us
        return offset_us
