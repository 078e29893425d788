"""Dates the frames of a source that gives their distances but not their time of day, by when they arrive."""

from __future__ import annotations

from videostore.base.constants import CAPTURED_AT_PLAUSIBLE_US, US_PER_SECOND

ARRIVAL_DRIFT_PPM = 500
"""How fast a camera's clock may drift against ours: as fast as slewing moves a clock, and much faster than quartz
drifts."""


class ArrivalTimeEstimator:
    """The offset of a live stream's timestamps from UTC, estimated while its frames arrive.

    Every frame is delayed on its way and none arrives before its capture, so the smallest delay seen is the best
    estimate. The estimate goes down to it at once, and up no faster than a camera's clock may drift.
    """

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._arrived_us = 0
        self._last_us: int | None = None

    def observe(self, pts_us: int, arrived_us: int) -> bool:
        """Add an arrival to the estimate; False, without adding it, if the stream's timestamps have jumped."""
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
        """Capture time of the next frame, UTC; always later than the frame before, whatever the estimate does."""
        assert self._offset_us is not None
        captured_us = pts_us + self._offset_us
        if self._last_us is not None:
            captured_us = max(captured_us, self._last_us + 1)
        self._last_us = captured_us
        return captured_us
