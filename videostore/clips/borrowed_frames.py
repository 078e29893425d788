"""Borrowed frames: the last frames of a segment that the next file holds.

Where a segment begins with an open GOP, the frames that are decoded behind its keyframe and shown before it need the
segment before, to whose time they belong. Who shows both segments copies one behind the other. Who shows the end of the
one alone, or decodes it, needs the beginning of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videostore.clips.frame_reader import NO_DAMAGE, Damage
from videostore.clips.segment_order import touch
from videostore.ffmpeg.concat_list import ListedFile
from videostore.media.border_frames import leading_fragments
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.segment import FrameTimes, Segment
from videostore.media.segment_names import parse_open_name

_SAME_US = 1000
"""Times that are nearer to each other are taken for one."""


@dataclass(frozen=True, slots=True)
class BorrowedFrames:
    """What a segment borrows from the next one."""

    shown_us: tuple[int, ...]
    """Capture times, sorted, in microseconds UTC."""
    file: ListedFile
    """The beginning of the next file: its first keyframe, and these frames."""
    is_damaged: bool = False
    """Whether they do not decode."""


def borrowed_frames(
    segment: Segment, times: FrameTimes, following: tuple[Segment, Path], damage: Damage = NO_DAMAGE
) -> BorrowedFrames | None:
    """What a segment borrows from the one that follows; None if that is nothing, or cannot be read. Blocking.

    `damage` tells which fragments do not decode.
    """
    after, path = following
    if not times.order or not runs_on(segment, after):
        return None
    size_bytes = after.size_bytes if parse_open_name(after.file_name) else None
    try:
        content = read_fragments(path, size_bytes)
    except (NotOursError, OSError):
        return None
    leading = content.leading
    if leading is None or content.start_lost or leading.shown_us[0] <= times.all_us[-1]:
        return None
    outpoint_us = None
    if leading.decoded_until_us is not None:
        outpoint_us = content.origin_us + leading.decoded_until_us - content.start_us
    # Its sound may begin before it, which would be taken for the start of the file.
    inpoint_us = content.origin_us if content.sound is not None else None
    # The demuxer refuses a list in which a file ends before it begins. Who reads it stops behind the last frame.
    if inpoint_us is not None and outpoint_us is not None and outpoint_us <= inpoint_us:
        outpoint_us = None
    file = ListedFile(path.absolute(), 1, inpoint_us, outpoint_us, size_bytes)
    lost = damage.get(after.file_name, frozenset())
    is_damaged = any(one.times_us[0] in lost for one in leading_fragments(content))
    return BorrowedFrames(leading.shown_us, file, is_damaged)


def runs_on(one: Segment, other: Segment) -> bool:
    """Whether the stream goes on from a segment to another one, without a frame that is missing."""
    return one.run_us is not None and one.run_us == other.run_us and touch(one, other)


def sure_until_us(segment: Segment, times: FrameTimes, end_us: int) -> int:
    """Up to where all frames are there of a segment that ends at `end_us` and has no next one. The next file may be
    about to appear, with frames that come earlier than it was guessed that the last one here ends."""
    awaits = times.next_us is not None and times.next_us - end_us >= _SAME_US
    return min(end_us, times.all_us[-1] + 1) if awaits and times.order and segment.codec == "hevc" else end_us
