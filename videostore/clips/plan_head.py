"""The head of a plan: what is encoded before copying begins, up to where it is made by itself to begin sooner, and how
much must be decoded before.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from videostore.base.constants import US_PER_SECOND
from videostore.clips.plan import Plan
from videostore.media.segment import Segment, UnreadableError, frame_times

_SOON_PIXELS_US = US_PER_SECOND * 1280 * 720 // 8
"""Length times size of what is encoded at once: to divide it, another ffmpeg is started."""
_LATE_PIXELS_US = 4 * _SOON_PIXELS_US
"""The same of what keeps a short clip waiting: to divide that, it is planned again."""
_FAR_PIXELS_US = US_PER_SECOND * 1920 * 1080
"""Length times size of what takes as long to decode and encode as the header of a stream takes to be made by itself."""
_ENCODED_US = US_PER_SECOND
"""So much can be decoded while the first frames are encoded."""
_SLOWER = {"hevc": 2}
"""How much longer other codecs than H.264 take."""
_APART_US = 1000
"""More than the roundings of two times."""


def begins_late(plan: Plan) -> bool:
    """Whether it takes long to encode what is before the first frame that is copied."""
    return not plan.reencoded and _pixels_us(plan) > _LATE_PIXELS_US


def head_to_us(plan: Plan, most_us: int, ends: Iterable[tuple[Segment, int]]) -> int | None:
    """Up to where what must be encoded of a plan is made by itself, if it is much longer than `most_us`; None if all of
    the plan is made at once. Its segments come with where each ends.
    """
    if plan.reencoded or _pixels_us(plan) <= _SOON_PIXELS_US:
        return None
    first_us = plan.parts[0].first_us
    # What is shown behind it must be decoded later than all of it.
    to_us = first_us + max(most_us, delay_us(plan) + _APART_US)
    if to_us + most_us > _ends_us(plan):
        return None
    # In a clip of all of it the frames of an overlapping segment are behind those of this one.
    shown = (one for one, end_us in ends if one.start_us < to_us and end_us > first_us)
    return to_us if len(list(shown)) == 1 else None


def far_before_us(plan: Plan) -> int | None:
    """A frame soon behind the keyframe with which decoding begins for the first frame of a plan, if it takes long to
    make that; None if it does not, or it is copied. Blocking: reads the header of the segment.

    Raises:
        OSError: the system lacks resources at the moment.
    """
    first = plan.parts[0] if plan.parts else None
    if first is None or not first.was_read or (first.copy.keyframe_us == first.first_us and not plan.reencoded):
        return None
    try:
        times = frame_times(first.segment, first.path)
    except UnreadableError:
        return None
    at_us = first.copy.decode_us or max((one for one in times.keyframes_us if one <= first.first_us), default=None)
    if at_us is None:
        return None
    pixels = first.segment.width * first.segment.height * _SLOWER.get(first.segment.codec, 1)
    behind = bisect.bisect_right(times.all_us, at_us)
    takes_us = first.first_us - at_us + _ENCODED_US
    if takes_us * pixels < _FAR_PIXELS_US or times.all_us[behind] > first.first_us:
        return None
    return times.all_us[behind]


def delay_us(plan: Plan) -> int:
    """How long before it is shown the frame is decoded with which copying begins."""
    return next((part.copy.keyframe_delay_us for part in plan.parts if part.copy.keyframe_us is not None), 0)


def _pixels_us(plan: Plan) -> int:
    """Length times size of the head."""
    if not plan.parts or not plan.parts[0].was_read:
        return 0
    segment = plan.parts[0].segment
    return (_ends_us(plan) - plan.parts[0].first_us) * segment.width * segment.height


def _ends_us(plan: Plan) -> int:
    """Where the head ends, as far as the first part has it."""
    first = plan.parts[0]
    ends = (first.copy.keyframe_us, first.stop_us, first.end_us)
    return next(one for one in ends if one is not None)
