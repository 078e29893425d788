"""The copy range: between which frames of a segment's file a clip can copy it, and where decoding begins otherwise."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from videostore.base.constants import US_PER_SECOND
from videostore.media.coded_order import Border, copies_until, entries
from videostore.media.segment import FrameTimes

_NEVER_US = 1 << 62


@dataclass(frozen=True, slots=True)
class CopyEnd:
    """Where the copy of a part ends whose frames are decoded in another order than they are shown in."""

    decoded_us: int
    """When the first frame that is not copied is decoded."""
    tail_us: int | None = None
    """The frames from here on are re-encoded, because some of them need a frame that the clip does not show; None if
    none are."""
    delay_us: int = 0
    """How long before it is shown the frame at `tail_us` is decoded; without one, the frame that is decoded last."""
    decode_us: int = 0
    """Where decoding must begin for the frame at `tail_us`, if that is before it."""


@dataclass(frozen=True, slots=True)
class CopyRange:
    """Times of frames of one file. Where it can be copied."""

    keyframe_us: int | None = None
    """The first shown frame from which the file can be copied behind frames that are re-encoded: a keyframe that needs
    nothing before it. None if there is none, or if the file was not read."""
    keyframe_delay_us: int = 0
    """How long before it is shown that keyframe is decoded."""
    opens: bool = False
    """Whether an open GOP begins with it: frames follow in the file that are shown before it, and need what is before
    it. They must not be copied if the copy begins with it."""
    end: CopyEnd | None = None
    """Where to stop copying, if frames are decoded in another order than they are shown in."""
    decode_us: int | None = None
    """Where decoding must begin for the first frame, if frames are decoded in another order than they are shown in."""


NOT_READ = CopyRange()


def copy_range(times: FrameTimes, first_us: int, last_us: int, to_us: int) -> CopyRange:
    """What can be copied of a segment, of its frames from `first_us` to `last_us`, where a clip that ends at `to_us`
    shows them; the last ones may be in the next file.
    """
    start_us = times.all_us[0]  # later than that of the segment if its first frames are damaged
    entry = bisect.bisect_left(times.entries_us, first_us)
    keyframe_us = times.entries_us[entry] if entry < len(times.entries_us) else None
    if keyframe_us is not None and keyframe_us > last_us:
        keyframe_us = None
    if not times.order:
        return CopyRange(keyframe_us)
    found = {start_us + one.shown_us: one for one in entries(times.order)}
    delay_us, opens = 0, False
    if keyframe_us is not None:
        delay_us = found[keyframe_us].delay_us
        opens = found[keyframe_us].is_open or (keyframe_us == start_us and times.leading is not None)
    end = _copy_end(times, start_us, first_us, last_us, to_us)
    return CopyRange(keyframe_us, delay_us, opens, end, _decode_from(times, start_us, first_us))


def one_more_us(times: FrameTimes, stop: int) -> int | None:
    """Between the first frame that is not shown, which is in the file, and the one after it."""
    if times.order or times.stretches or times.damaged or stop >= len(times.all_us):
        return None
    following = times.all_us[stop : stop + 2]
    return (following[0] + following[1]) // 2 if len(following) > 1 else following[0] + US_PER_SECOND


def _decode_from(times: FrameTimes, start_us: int, first_us: int) -> int:
    """Where decoding must begin for a frame."""
    # Of H.264, decoders would show what they make of the frames of an open GOP.
    found = (start_us + one.shown_us for one in entries(times.order) if one.fresh or not one.is_open)
    return max((one for one in found if one <= first_us), default=start_us)


def _copy_end(times: FrameTimes, start_us: int, first_us: int, last_us: int, to_us: int) -> CopyEnd:
    own = last_us <= times.all_us[-1]
    until_us = copies_until(times.order, to_us - start_us) if own else None
    if until_us is not None:
        ends = max((one for one in times.order if one.decoded_us < until_us), key=lambda one: one.decoded_us)
        return CopyEnd(start_us + until_us, None, ends.shown_us - ends.decoded_us)
    found = (_end_at(times, one) for one in reversed(entries(times.order)))
    decoded_us, tail_us = next((one for one in found if start_us + one[1] <= last_us), (0, 0))
    if start_us + tail_us <= first_us:
        return CopyEnd(first_us, first_us)
    decode_us = _decode_from(times, start_us, start_us + tail_us)
    return CopyEnd(start_us + decoded_us, start_us + tail_us, tail_us - decoded_us, decode_us)


def _end_at(times: FrameTimes, keyframe: Border) -> tuple[int, int]:
    """Where a copy can end at a keyframe: when decoding stops, and the first frame that is shown from there on. That is
    the keyframe, or the one after it if frames are shown before it that need it.
    """
    if not keyframe.is_open and not (keyframe.shown_us == 0 and times.leading is not None):
        return keyframe.decoded_us, keyframe.shown_us
    later = [one for one in times.order if one.shown_us > keyframe.shown_us]
    return later[0].decoded_us if later else _NEVER_US, min((one.shown_us for one in later), default=_NEVER_US)
