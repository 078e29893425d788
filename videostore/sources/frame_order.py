"""The frames of one format, in the order in which they are decoded: checked, and with the times of decoding."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence

from videostore.media.decode_order import DecodeOrder
from videostore.media.h26x import ReorderedError, UncopyableError, is_b_frame, is_idr
from videostore.media.packet import StreamFormat
from videostore.sources.handover import CodedFrame

_REORDERED = "its frames are reordered (B frames), and it does not say so"
_TOO_FAR = "its frames are reordered (B frames), and further than it says"
_GAP_STEPS = 1.5
"""A distance of so many usual intervals lacks a frame."""
_LOOKED_AT = 3
"""A B frame comes behind the first two frames, at the earliest."""


class FrameOrder:
    """Checks the order of the frames of one format, and finds when each is decoded.

    Frames that are shown before the keyframe that is decoded before them need frames before the keyframe (an open GOP).
    After the first keyframe of all there is nothing that they need, and they are left out: they cannot be decoded. Of
    H.264, players cannot begin with such a keyframe, so that it is passed on as another frame: to know that, each waits
    for the next frame.
    """

    def __init__(self, format: StreamFormat, *, unsaid: bool, untimed: bool) -> None:
        """`unsaid`: the stream does not say whether frames are reordered, and is taken for one without. `untimed`: the
        first frame came without a time, and has that of the second."""
        self.format = format
        self._unsaid = unsaid
        self._kept: list[CodedFrame] | None = [] if untimed or unsaid else None
        """The first frames, until enough is known; None from then on."""
        self._kept_count = 2 * format.reordered + 2 if untimed else _LOOKED_AT
        self._untimed = untimed
        self._order: DecodeOrder | None = None
        self._shown_us = self._before_us = 0
        """When the last frame so far is shown, and the last one that is decoded before the last keyframe."""
        self._keyframe_us: int | None = None
        """When the last keyframe is shown."""
        self._is_first = True
        """Whether that is the first of all."""
        self._waits = format.codec == "h264" and format.reordered > 0
        self._held: CodedFrame | None = None
        self._opened_us: int | None = None
        """When the last keyframe that was passed on as another frame is shown."""

    def next(self, frame: CodedFrame) -> Iterator[CodedFrame]:
        """The frames that can be passed on.

        Raises:
            ReorderedError: frames turn out to be reordered.
            UncopyableError: they must not be passed on.
        """
        if self._unsaid and is_b_frame(frame.format.codec, frame.data):
            raise ReorderedError(_REORDERED)
        if self._kept is None:
            yield from self._follow(frame)
            return
        self._kept.append(frame)
        if len(self._kept) >= self._kept_count:
            yield from self._begin()

    def rest(self) -> Iterator[CodedFrame]:
        """The frames that wait."""
        yield from self._begin()
        yield from self._release()

    def _begin(self) -> Iterator[CodedFrame]:
        kept, self._kept = self._kept or [], None
        if self._untimed and len(kept) > 1:
            others_us = sorted(one.pts_us for one in kept[1:])
            first = is_idr(self.format.codec, kept[0].data)
            kept[0] = kept[0]._replace(pts_us=_missing_time(others_us, first=first))
        for frame in kept:
            yield from self._follow(frame)

    def _follow(self, frame: CodedFrame) -> Iterator[CodedFrame]:
        if self._order is None:
            self._order = DecodeOrder(frame.pts_us, self.format.reordered)
            self._shown_us = frame.pts_us - 1
        if frame.keyframe:
            if frame.pts_us < self._shown_us:
                raise UncopyableError(_TOO_FAR)
            self._is_first = self._keyframe_us is None
            self._before_us, self._keyframe_us = self._shown_us, frame.pts_us
        elif self._keyframe_us is not None and frame.pts_us < self._keyframe_us:
            if not self.format.reordered:
                raise ReorderedError(_REORDERED)
            if self._is_first:
                return
            if frame.pts_us <= self._before_us:
                raise UncopyableError(_TOO_FAR)
            if self._held is not None:
                self._held, self._opened_us = self._held._replace(keyframe=False), self._keyframe_us
            elif self._waits and self._opened_us != self._keyframe_us:  # it was passed on as one
                raise UncopyableError(_TOO_FAR)
        decoded_us = self._order.next(frame.pts_us)
        if decoded_us is None and not self.format.reordered and frame.pts_us < self._shown_us:
            raise ReorderedError(_REORDERED)
        if decoded_us is None and self.format.reordered:
            raise UncopyableError(_TOO_FAR)
        self._shown_us = max(self._shown_us, frame.pts_us)
        yield from self._release()
        dated = frame._replace(decoded_us=decoded_us) if self.format.reordered else frame
        if frame.keyframe and self._waits:
            self._held = dated
        else:
            yield dated

    def _release(self) -> Iterator[CodedFrame]:
        held, self._held = self._held, None
        if held is not None:
            yield held


def _missing_time(others_us: Sequence[int], *, first: bool) -> int:
    """When the first frame is shown, by the sorted times of those that follow: before them. If others may be shown
    before it (not `first`), it is in their first gap."""
    steps = [later - earlier for earlier, later in itertools.pairwise(others_us)]
    if not steps:
        return others_us[0] - 1
    usual_us = statistics.median_low(steps)
    gaps = (before_us for before_us, step in zip(others_us, steps, strict=False) if step > _GAP_STEPS * usual_us)
    before_us = None if first else next(gaps, None)
    return others_us[0] - usual_us if before_us is None else before_us + usual_us
