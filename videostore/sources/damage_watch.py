"""Watches the frames of a live stream, and marks those that came damaged, up to the next keyframe.

What ffmpeg reports of lost packets, and what a frame shows of itself. A report and the frame that it is about come in
different pipes. So the mark is generous: from the last frame before the report on, and a keyframe ends it only if it is
the third frame that certainly came after the report.
"""

from __future__ import annotations

import logging
from typing import Protocol

from videostore.base.beat import BEAT_S
from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import DAMAGE_REASONS
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.media.damage_mark import DamageMark
from videostore.media.packet import StreamFormat
from videostore.media.picture_check import PictureCheck
from videostore.sources.handover import CodedFrame

_DOUBTFUL_FRAMES = 2
"""ffmpeg reports a loss before it passes on the frame in which it is. The lost packets may be the end of that frame and
the beginning of the next one."""
_READ_LATE_US = round(1.5 * BEAT_S * US_PER_SECOND)
"""A frame may have been in the pipe for so long before it is read."""
LONGEST_HIDDEN_GOP_US = 10 * US_PER_SECOND
"""Where the keyframes of a camera are not known, what follows a report for so long may still refer to what was lost."""


class LossCount(Protocol):
    """What ffmpeg reports: `FFmpegMessages`."""

    losses: int
    lost_us: int


class DamageWatch:
    """Watches the frames of one session. They come in the order of decoding."""

    def __init__(
        self,
        messages: LossCount,
        address: object,
        logger: logging.Logger,
        limit: MessageLimit,
        *,
        hidden_keyframes: bool = False,
    ) -> None:
        """`hidden_keyframes`: the frames are encoded again, so that the keyframes of the camera are not known."""
        self._lasts_us = LONGEST_HIDDEN_GOP_US if hidden_keyframes else 0
        self._messages = messages
        self._address = address
        self._logger = logger
        self._limit = limit
        self._format: StreamFormat | None = None
        self._check: PictureCheck | None = None
        self._losses = 0
        self._doubtful_until: int | None = None
        """Frames that were read up to then may be those of the last report; None if there is none."""
        self._after_report = 0
        self._last_us: int | None = None
        self._mark: DamageMark | None = None
        self._keyframe_us = -1
        """Capture time of the last keyframe."""
        self._before: DamageMark | None = None
        """The mark of the frames before it."""
        self._over: tuple[int, str] = (-1, "")
        """Capture time of the keyframe that ended the last stretch, and why that was damaged."""

    def look(self, frame: CodedFrame, captured_us: int) -> DamageMark | None:
        """The mark of the next frame; None if nothing is wrong with it."""
        if self._check is None or frame.format is not self._format:
            self._format, self._check = frame.format, PictureCheck(frame.format.codec, frame.format.parameter_sets)
        fault = self._check.fault(frame.data, keyframe=frame.keyframe)
        since_us = captured_us
        reported = self._messages.losses != self._losses
        if reported:
            self._losses, self._after_report = self._messages.losses, 0
            self._doubtful_until = self._messages.lost_us
            if self._last_us is not None:
                since_us = min(self._last_us, captured_us)
        doubtful = self._is_doubtful(frame, captured_us)
        cause = "packets-lost" if doubtful else fault
        if frame.keyframe:
            self._keyframe_us, self._before = captured_us, self._mark
        if frame.keyframe and self._mark is not None:
            self._over = captured_us, self._mark.reason
            self._mark = None
            since_us = captured_us
        if cause and self._mark is None:
            over_us, reason = self._over
            if over_us < since_us:
                self._tell(cause)
            else:  # the same damage: its report came after the frame that shows it
                cause = reason
            self._mark = DamageMark(since_us, cause)
        self._last_us = captured_us
        if self._mark is None and captured_us < self._keyframe_us:  # in an open GOP, it needs the one before
            return self._before
        return self._mark

    def _is_doubtful(self, frame: CodedFrame, captured_us: int) -> bool:
        """Whether a frame may be one in which packets were lost."""
        if self._doubtful_until is None:
            return False
        # It is dated no later than it came; when it was read it may have waited in the pipe.
        if captured_us > self._doubtful_until or frame.arrived_us > self._doubtful_until + _READ_LATE_US:
            self._after_report += 1
        over = frame.arrived_us > self._doubtful_until + self._lasts_us
        if frame.keyframe and over and self._after_report > _DOUBTFUL_FRAMES:
            self._doubtful_until = None
            return False
        return True

    def _tell(self, reason: str) -> None:
        text = (
            f"The stream {self._address} comes damaged: {DAMAGE_REASONS[reason]}. It is marked up to the next keyframe."
        )
        if (passed := self._limit.pass_on(text)) is not None:
            self._logger.warning("%s", passed)
