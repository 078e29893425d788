"""A plan: which frames of which segments make a clip, chosen to the microsecond, and which can be copied together."""

from __future__ import annotations

import bisect
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import UNREADABLE, DamagedRange, Range, add_range, merge_ranges
from videostore.clips.borrowed_frames import borrowed_frames, runs_on, sure_until_us
from videostore.clips.clip_content import ClipContent, DamageList
from videostore.clips.compact_list import CompactList
from videostore.clips.copy_range import NOT_READ, CopyRange, copy_range, one_more_us
from videostore.clips.frame_reader import NO_DAMAGE, Damage, FrameReader
from videostore.clips.segment_order import touch
from videostore.ffmpeg.concat_list import ListedFile
from videostore.media.look import Look
from videostore.media.segment import Segment, Stretch, UnreadableError
from videostore.media.segment_names import parse_open_name

REENCODED_FACTOR = 2
"""Re-encoded video takes at most this many times the bytes of its source: enough for good quality, and bounded."""

_PRECISION_US = 1000
"""Responses give times in milliseconds."""
_SHORT_WAIT_US = US_PER_SECOND
"""A clip of a camera of more than one frame a second is said to begin at `from`, though its first frame is later."""
_LOST_END_US = US_PER_SECOND // 2
"""A file that ends this much before its segment is truncated. Less is a different guess of the last frame's length."""


@dataclass(frozen=True, slots=True)
class ClipPart:
    """The part of a clip that comes from one segment."""

    segment: Segment
    path: Path
    end_us: int
    """Where its last frame ends: at the start of the next segment if they touch, because the file itself only has a
    guess."""
    first_us: int
    """Capture time of the first frame that is shown."""
    stop_us: int | None = None
    """Between the last frame that is shown and the segment's next one; None if it is shown to its end."""
    last_length_us: int | None = None
    """How long the last frame is shown; None if the file was not read."""
    copy: CopyRange = NOT_READ
    """Where the file can be copied."""
    one_more_us: int | None = None
    """Where to stop for one frame more than is shown, which tells how long the last one is; None if the file does not
    have it, or if frames are decoded in another order than they are shown in."""
    origin_us: int = 0
    """The time in the file of its first frame."""
    look: Look | None = None
    """None if the file was not read."""
    leads: bool = False
    """Whether the file begins with frames that are shown before its first one, which need the file before it."""
    borrowed: ListedFile | None = None
    """The beginning of the next file, if the last frames are there."""
    read_bytes: int | None = None
    """How much of the file is read, if that is not all: an open segment grows meanwhile, and where the end of a file is
    lost ffmpeg would stop."""

    @property
    def length_us(self) -> int:
        """Its length in the clip, including what is skipped. Segments of other programs are dated to the second."""
        return (self.end_us if self.segment.run_us is not None else self.segment.end_us) - self.segment.start_us

    @property
    def skip_us(self) -> int:
        """How much is left out at the segment's start."""
        return self.first_us - self.segment.start_us

    @property
    def trimmed(self) -> bool:
        """Whether part of the segment is left out."""
        return self.skip_us > 0 or self.stop_us is not None

    @property
    def was_read(self) -> bool:
        """Whether the times of its frames are known. Where they are not, it is used whole."""
        return self.last_length_us is not None


@dataclass(frozen=True, slots=True)
class BrokenSegment:
    """A segment with holes."""

    segment: Segment
    path: Path
    header_bytes: int
    end_byte: int
    """Where its last whole fragment ends."""
    stretches: tuple[Stretch, ...]
    end_lost: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a clip is made of."""

    asked: Range
    found: Sequence[tuple[Segment, Path]]
    """The stored segments of the range and their neighbours, including those that cannot be read."""
    parts: Sequence[ClipPart]
    ranges: tuple[Range, ...]
    """What the clip holds of the range."""
    estimated_bytes: int
    sound_bytes: int = 0
    """About what the sound of all of it takes."""
    output_bytes: int = 0
    """The most that the clip takes on disk. Found once: it takes long for tens of thousands of segments."""
    reencoded: bool = False
    """Whether all of it is re-encoded: parts that differ in frame size or codec are joined only afterwards."""
    wait_us: int = 0
    """From the start of the range to the first frame in it, if a slow camera's frame before it lasts until then."""
    broken: tuple[BrokenSegment, ...] = ()
    """Segments in which something before the last frame cannot be read. Each of their stretches must become a part."""
    goes_on: bool = False
    """Whether a clip of what follows is put behind this one as it is."""
    behind: Segment | None = None
    """The last segment of the clip behind which this one is put as it is, if that goes on."""
    damage: Damage = field(default_factory=dict)
    """What ffmpeg could not decode, and is left out."""
    damaged: tuple[DamagedRange, ...] = ()
    """What of the range came damaged, and is in the clip, or cannot be read, and is not."""
    checked: bool = True  # whether its frames were read
    work: Path | None = None
    """Where the second names of its segments are, as long as they last."""

    @property
    def content(self) -> ClipContent:
        """What the clip holds, for the one who asked for it."""
        return ClipContent(None if self.complete else self.ranges, self.damaged)

    @property
    def complete(self) -> bool:
        """Whether the clip holds all of the range, to the millisecond."""
        missing_us = self.asked.to_us - self.asked.from_us - self.wait_us - self.length_us
        return len(self.ranges) == 1 and missing_us < _PRECISION_US

    @property
    def work_bytes(self) -> int:
        """Temporary space that making it takes, besides the clip itself."""
        return self.sound_bytes + (self.output_bytes if self.reencoded else 0)

    @property
    def ffmpeg_us(self) -> int:
        """Length of all that ffmpeg writes for it, in microseconds: what is re-encoded is written twice."""
        return self.length_us * (2 if self.reencoded else 1)

    @property
    def length_us(self) -> int:
        """Length of what the clip holds, in microseconds."""
        return sum(one.to_us - one.from_us for one in self.ranges)


def make_plan(
    found: Sequence[tuple[Segment, Path]],
    asked: Range,
    logger: logging.Logger,
    *,
    thorough: bool = False,
    check: bool = True,
    damage: Damage = NO_DAMAGE,
    goes_on: bool = False,
    behind: Segment | None = None,
) -> Plan:
    """Find the first and last frame of a range in its segments, in their order. Blocking: reads the files' headers.

    The segments include neighbours outside the range: their starts are the ends of the last frames before them. To
    `check`, up to `CHECKED_BYTES` of frames are read; with `thorough` all, and other programs' segments that are used
    whole. What `damage` names is left out.
    """
    from_us, to_us = asked.from_us, asked.to_us
    reader = FrameReader(found, asked, logger, thorough=thorough, check=check, damage=damage)
    parts = CompactList[ClipPart]()
    held, broken = list[Range](), list[BrokenSegment]()
    damaged = DamageList(asked)
    sound_rate = 0.0  # bytes in a microsecond, at most
    entered = False  # whether a frame is found from which on the clip can be copied
    shown_us: dict[int | None, int] = {}  # by run, the last frame so far, which a damaged copy may hold again
    for (segment, path), following in zip_longest(found, islice(found, 1, None)):
        after = following[0] if following else None
        end_us = after.start_us if after is not None and touch(segment, after) else segment.end_us
        # Frames may be later than the start of the next segment: the clock was set back a little, or another program
        # dates by the second, or recorded at the same time.
        latest_us = max(end_us, segment.end_us)
        end_us = end_us if segment.run_us is not None else latest_us
        damaged.add(segment.damaged)
        if latest_us <= from_us or segment.start_us >= to_us:
            continue
        part = ClipPart(segment, path, end_us, segment.start_us)
        try:
            last = after is None or after.start_us >= to_us
            times = reader.read(segment, path, end_us, needed=not entered or last)
        except UnreadableError as error:
            logger.warning("Segment %s cannot be read and is left out of a clip: %s", path.name, error)
            damaged.add([DamagedRange(segment.start_us, end_us, UNREADABLE)])
            continue
        if times is not None:
            damaged.add(DamagedRange(one.from_us, one.to_us, UNREADABLE) for one in times.damaged)
            if times.stretches:
                place = times.header_bytes, times.size_bytes
                broken.append(BrokenSegment(segment, path, *place, times.stretches, times.ragged))
            if segment.run_us is not None and end_us <= times.all_us[-1]:
                end_us = segment.end_us
                part = replace(part, end_us=end_us)
            if times.ragged or times.end_us < segment.end_us - _LOST_END_US:
                logger.warning("The end of segment %s is missing.", path.name)
                end_us = times.end_us
                shorter = replace(segment, end_us=end_us, size_bytes=times.size_bytes)
                part = replace(part, segment=shorter, end_us=end_us, read_bytes=times.size_bytes)
            elif parse_open_name(segment.file_name):
                part = replace(part, read_bytes=segment.size_bytes)
            elif times.has_tail:
                part = replace(part, read_bytes=times.size_bytes)
            part = replace(part, look=times.look)
            sound_rate = max(sound_rate, times.sound_bytes / max(1, times.end_us - times.all_us[0]))
            alone = following is None or not runs_on(segment, following[0])
            sure_us = sure_until_us(segment, times, end_us) if alone else end_us
            all_us = times.all_us
            borrows = not goes_on if last else not entered
            borrowed = borrowed_frames(segment, times, following, damage) if following is not None and borrows else None
            if borrowed is not None and borrowed.is_damaged:
                borrowed, sure_us = None, times.all_us[-1] + 1
                damaged.add([DamagedRange(sure_us, end_us, UNREADABLE)])
            add_range(held, max(from_us, segment.start_us), min(to_us, sure_us))
            if borrowed is not None:  # behind them comes the first frame of the next segment
                all_us = [*all_us, *borrowed.shown_us, *([following[0].start_us] if last else [])]
            first = bisect.bisect_left(all_us, from_us)
            if segment.run_us in shown_us:
                first = max(first, bisect.bisect_right(all_us, shown_us[segment.run_us]))
            whole_us = to_us if times.complete_until_us is None else min(to_us, times.complete_until_us)
            stop = bisect.bisect_left(all_us, whole_us)
            if first >= stop:  # its last frame is shown into the range, but was captured before it
                continue
            if segment.run_us is not None:
                shown_us[segment.run_us] = all_us[stop - 1]
            last_us, next_us = all_us[stop - 1], all_us[stop] if stop < len(all_us) else None
            lasts_until_us = segment.start_us + part.length_us if next_us is None else next_us
            # In a clip of both segments they are copied one behind the other.
            copied_us = last_us if last else min(last_us, times.all_us[-1])
            part = replace(
                part,
                first_us=all_us[first],
                stop_us=(last_us + next_us) // 2 if next_us is not None else None,
                last_length_us=max(lasts_until_us - last_us, 1),
                origin_us=times.origin_us,
                copy=copy_range(times, all_us[first], copied_us, whole_us),
                one_more_us=one_more_us(times, stop),
                leads=times.leading is not None,
                borrowed=borrowed.file if borrowed is not None and last_us > times.all_us[-1] else None,
            )
            if behind is not None and not parts and (not part.leads or runs_on(behind, segment)):
                part = _copied_whole(part)
            entered = entered or part.copy.keyframe_us is not None
        else:
            add_range(held, segment.start_us, end_us)
        parts.append(part)
    ranges = merge_ranges(held)
    shown = _from_first_frame(ranges, parts)
    wait_us = shown[0].from_us - ranges[0].from_us if len(shown) == len(ranges) > 0 else 0
    estimated_bytes, groups = sum(map(_estimate_bytes, parts)), len(groups_of(parts))
    return Plan(
        asked,
        found,
        parts,
        tuple(shown),
        estimated_bytes,
        math.ceil(sound_rate * sum(one.to_us - one.from_us for one in shown)),
        _most_bytes(parts, estimated_bytes, groups),
        reencoded=groups > 1,
        wait_us=wait_us,
        broken=tuple(broken),
        goes_on=goes_on,
        behind=behind,
        damage=damage,
        damaged=damaged.ranges,
        checked=not reader.left_unchecked,
    )


def _copied_whole(part: ClipPart) -> ClipPart:
    """A part from its start on. What that needs to be decoded is in the clip before, as in a clip of both."""
    start_us = part.segment.start_us
    copy = replace(part.copy, keyframe_us=start_us, keyframe_delay_us=0, opens=False)
    return replace(part, first_us=start_us, copy=copy)


def _most_bytes(parts: Sequence[ClipPart], estimated_bytes: int, groups: int) -> int:
    if groups <= 1:
        return estimated_bytes
    pixels = max(part.segment.width * part.segment.height for part in parts)
    return estimated_bytes * REENCODED_FACTOR + groups * first_picture_bytes(pixels)


def _from_first_frame(ranges: list[Range], parts: Sequence[ClipPart]) -> list[Range]:
    """The ranges from the first frame on that the clip shows: none of them may be of a frame from before `from`."""
    if not parts:
        return ranges
    first_us = min(part.first_us for part in parts)
    shown = [one for one in ranges if one.to_us > first_us]
    if shown and first_us - shown[0].from_us >= _SHORT_WAIT_US:
        shown[0] = Range(first_us, shown[0].to_us)
    return shown


def first_picture_bytes(pixels: int) -> int:
    """What the first picture of re-encoded video takes, besides what is bounded by its source, which may be smaller."""
    return pixels // 8


def _estimate_bytes(part: ClipPart) -> int:
    segment = part.segment
    shown_us = (part.stop_us or part.end_us) - part.first_us
    return segment.size_bytes * min(shown_us, segment.duration_us) // max(segment.duration_us, 1)


def groups_of(parts: Sequence[ClipPart]) -> list[Sequence[ClipPart]]:
    """Groups of parts that ffmpeg can join without re-encoding: same frame size and look, trimmed only at their outer
    ends.
    """
    before, begins = None, list[int]()
    for number, part in enumerate(parts):
        if before is None or not _joins(before, part):
            begins.append(number)
        before = part
    return [parts[begin:end] for begin, end in zip_longest(begins, begins[1:])]


def _joins(one: ClipPart, other: ClipPart) -> bool:
    if one.stop_us is not None or other.skip_us > 0:
        return False
    a, b = one.segment, other.segment
    if other.leads and not runs_on(a, b):
        return False  # the frames at its beginning must not be shown
    if (a.codec, a.width, a.height) != (b.codec, b.width, b.height):
        return False
    if one.look and other.look and one.look != other.look:
        return False  # players take the pixel shape and the colours of a clip from its header
    if (a.run_us is None) != (b.run_us is None):
        return False  # their time units differ, and the concat demuxer uses those of the first for all
    # The concat demuxer repeats the parameter sets of H.264 in the stream; those of other codecs must be equal.
    return a.codec == "h264" or a.setup == b.setup
