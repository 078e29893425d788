"""Which frames still belong to a live stream that is stopped while frames are on their way that are shown earlier."""

from __future__ import annotations

from videostore.media.packet import Gap, Packet, StreamFormat

PATIENCE_S = 1.0
"""A frame that is decoded behind one that is shown later comes within one or two intervals."""


class LastFrames:
    """Follows the frames of a stream: with B frames, some may come later than one that is shown behind them."""

    def __init__(self) -> None:
        self._format: StreamFormat | None = None
        self._latest_us = 0

    def passed(self, item: Packet | Gap) -> None:
        """Take in what was passed on."""
        if isinstance(item, Gap):
            self._format = None
            return
        if item.format is not self._format:
            self._format, self._latest_us = item.format, item.captured_us
        elif item.captured_us > self._latest_us:
            self._latest_us = item.captured_us

    @property
    def patience_s(self) -> float:
        """How long to wait for the next frame."""
        return PATIENCE_S if self._format is not None and self._format.reordered else 0.0

    def has(self, item: Packet | Gap) -> bool:
        """Whether the next item is a frame that is shown before the last one so far."""
        return isinstance(item, Packet) and item.format is self._format and item.captured_us < self._latest_us
