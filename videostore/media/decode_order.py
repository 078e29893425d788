"""When the frames of a stream are decoded, found from when they are shown. With B frames the two orders differ."""

from __future__ import annotations

import bisect

EARLY_US = 100
"""At the start of a run frames are decoded so far apart, before the first is shown: more than the unit of time of a
clip."""


class DecodeOrder:
    """The decoding times of one run, for frames that come in the order in which they are decoded.

    Each frame is decoded when a frame that is so many places before it in the order of showing is shown. Such times
    rise from frame to frame, and none is later than when its own frame is shown.
    """

    def __init__(self, first_us: int, reordered: int) -> None:
        """`first_us` is when the first frame is shown; `reordered` is how many frames can be decoded after a frame
        that is shown later than they are."""
        self._latest_us = [first_us - number * EARLY_US for number in range(reordered, 0, -1)]
        """When the last frames are shown, and before them the first ones would have been; sorted."""
        self.begins_us = first_us - reordered * EARLY_US
        """When the first frame is decoded."""
        self._decoded_us = self.begins_us - 1
        self._first_us = first_us

    def fits(self, shown_us: int) -> bool:
        """Whether a frame that is shown then can be the next one."""
        return self._place(shown_us) is not None

    def next(self, shown_us: int) -> int | None:
        """When the next frame is decoded; None, without taking it in, if it does not fit behind those before it."""
        place = self._place(shown_us)
        if place is None:
            return None
        at, self._decoded_us = place
        if self._latest_us:
            self._latest_us.insert(at, shown_us)
            del self._latest_us[0]
        return self._decoded_us

    def _place(self, shown_us: int) -> tuple[int, int] | None:
        """Where it is in the order of showing, and when it is decoded."""
        if not self._latest_us:  # frames are decoded when they are shown
            return None if shown_us < self._first_us or shown_us <= self._decoded_us else (0, shown_us)
        at = bisect.bisect_left(self._latest_us, shown_us)
        decoded_us = shown_us if at == 0 else self._latest_us[0]
        taken = at < len(self._latest_us) and self._latest_us[at] == shown_us
        return None if taken or shown_us < self._first_us or decoded_us <= self._decoded_us else (at, decoded_us)
