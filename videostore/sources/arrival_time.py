"""Dates frames whose source tells their distances, but not the time: by when they arrive."""

from __future__ import annotations

from videostore.base.constants import CAPTURED_AT_PLAUSIBLE_US, US_PER_SECOND

ARRIVAL_DRIFT_PPM = 500
"""A camera's clock may drift so much against ours: as much as slewing moves a clock, and far more than quartz does."""


class ArrivalTimeEstimator:
    """The offset of a live stream's own time from UTC, estimated while its frames arrive.

    Every frame is delayed on its way, and none arrives before its capture: the smallest delay seen is the truest. The
    estimate is taken down to it at once, and up no faster than a camera's clock may drift.
    """

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._arrived_us = 0
        self._last_us: int | None = None

    def observe(self, pts_us: int, arrived_us: int) -> bool:
        """Take an arrival into the estimate; False, and nothing is taken, where the stream's time has leaped."""
        delay_us = arrived_us - pts_us
        if self._offset_us is None:
            self._offset_us = delay_us
        elif abs(delay_us - self._offset_us) > CAPTURED_AT_PLAUSIBLE_US:
            return False
        else:
            drift_us = max(0, arrived_us - self._arrived_us) * ARRIVAL_DRIFT_PPM // US_PER_SECOND
            self._offset_us = min(delay_us, self._offset_us + drift_us)
        self._arrived_us = max(self._arrived_us, arrived_us)
        return True

    def date(self, pts_us: int) -> int:
        """Moment of capture of the next frame, UTC; later than that of the frame before, whatever the estimate does."""
        assert self._offset_us is not None
        captured_us = pts_us + self._offset_us
        if self._last_us is not None:
            captured_us = max(captured_us, self._last_us + 1)
        self._last_us = captured_us
        return captured_us
