"""When an image of a Viam camera was captured: what the camera says where that can be right, else when it arrived."""

from __future__ import annotations

import logging

from videostore.base.constants import CAPTURED_AT_PLAUSIBLE_US, US_PER_SECOND

CAPTURED_AT_DISTRUST_S = 60.0
"""After the last implausible capture time, arrival times are used this long: alternating would put frames out of order.
"""
CAPTURED_AHEAD_US = US_PER_SECOND
"""No image is captured after it has arrived: the camera's clock may be ahead by so much."""


class CaptureDates:
    """The capture times of one camera's images, in the order in which they arrive."""

    def __init__(self, camera: str, logger: logging.Logger) -> None:
        self._camera = camera
        self._logger = logger
        self._last_us: int | None = None
        self._told_us: int | None = None
        """The last capture time that the camera told, believed or not."""
        self._distrusted = False
        self._distrust_until_us = 0

    def forget(self) -> None:
        """The machine's clock was stepped: times from before cannot be compared."""
        self._last_us = self._told_us = None

    def date(self, captured_at_us: int, arrival_us: int) -> int:
        """When an image was captured, UTC in microseconds. `captured_at_us` is what the camera says; 0 for nothing."""
        self._last_us = self._dated(captured_at_us, arrival_us)
        return self._last_us

    def _dated(self, captured_at_us: int, arrival_us: int) -> int:
        if not captured_at_us:
            return arrival_us
        age_us = arrival_us - captured_at_us
        plausible = -CAPTURED_AHEAD_US <= age_us <= CAPTURED_AT_PLAUSIBLE_US
        told_us, self._told_us = self._told_us, captured_at_us
        if plausible and (told_us is None or captured_at_us > told_us):
            if arrival_us < self._distrust_until_us:
                return arrival_us
            if self._last_us is None or captured_at_us > self._last_us:
                self._distrusted = False
                return captured_at_us
        if not self._distrusted and plausible:
            self._logger.warning(
                "Camera %r says that an image was captured before the last one, or at the same time; using arrival"
                " times.",
                self._camera,
            )
        elif not self._distrusted:
            self._logger.warning(
                "Camera %r says that an image is %.1f s old, which is implausible; using arrival times.",
                self._camera,
                age_us / US_PER_SECOND,
            )
        self._distrusted = True
        self._distrust_until_us = arrival_us + round(CAPTURED_AT_DISTRUST_S * US_PER_SECOND)
        return arrival_us
