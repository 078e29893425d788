"""A segment, which is one file of the recording, and what can be read from it."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from videostore.base.constants import LONGEST_SEGMENT_US, US_PER_SECOND
from videostore.base.errors import reason_of
from videostore.base.files import PASSING_ERRORS
from videostore.base.ranges import DamagedRange, Range
from videostore.media.boxes import is_cut_off
from videostore.media.coded_order import CodedFrame, Leading, borders, is_delayed
from videostore.media.damage_statement import read_statement
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.foreign_frames import read_foreign
from videostore.media.fragmented_file import Fragment, FragmentedFile, NotOursError
from videostore.media.lenient_tags import lenient_tags, tags_of
from videostore.media.libav import av
from videostore.media.look import Look
from videostore.media.marked_frames import read_damage
from videostore.media.nal_units import damaged_fragments
from videostore.media.segment_names import name_time_us, parse_open_name, parse_run_comment

LOST_START, LOST_END, LOST_BOTH = -1, -2, -3
"""The number of a segment whose first or last frames are lost: it follows no segment there, or is followed by none."""

_CODECS = {"h265": "hevc"}
_PROBED_BYTES = 5_000_000
"""ffmpeg's `probesize`."""
_EARLIEST_US = 1_000_000_000 * US_PER_SECOND
"""September 2001. A file with an earlier time in its name, such as `1.mp4`, is not a recording."""


class UnreadableError(Exception):
    """The file is damaged or not complete yet: nothing can be read from it."""


class UnknownFileError(Exception):
    """The file is not a recording of ours or of the Go module: it is not touched."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the recording, as the index describes it."""

    file_name: str
    start_us: int
    """Capture time of its first frame, UTC."""
    end_us: int
    """End of its last frame, UTC."""
    size_bytes: int
    width: int
    height: int
    codec: str
    """ffmpeg's name: `h264`, `hevc` …"""
    setup: str | None = None
    """Digest of the decoder's configuration; None if unknown."""
    run_us: int | None = None
    """Epoch of its run; None for a file of another program."""
    run_number: int | None = None
    """Its number in the run, from 0; None if unknown, as only the name of the open segment tells it; below 0 if frames
    are lost at its start or its end."""
    lost_before: bool = False
    """Whether the frames before its first one are damaged, so that no other segment touches it there."""
    lost_after: bool = False
    """The same behind its last one."""
    damaged: tuple[DamagedRange, ...] = ()
    """What of it came damaged, by the marks of its frames, in order; the first may begin before it."""
    until_next_us: int | None = dataclasses.field(default=None, compare=False)
    """From its first frame to that of the next segment, as its header says, for other programs; None if unknown."""
    sound_us: int | None = dataclasses.field(default=None, compare=False)
    """When its first sound was captured, as its run knows it while it is written; None if unknown."""

    @property
    def duration_us(self) -> int:
        """Its length in microseconds."""
        return self.end_us - self.start_us


def describe_fragments(
    file_name: str,
    content: FragmentedFile,
    run_number: int | None = None,
    damaged: tuple[DamagedRange, ...] = (),
) -> Segment:
    """The segment in a file of ours."""
    return Segment(
        file_name=file_name,
        start_us=content.start_us,
        end_us=content.complete_until_us if parse_open_name(file_name) else content.end_us,
        size_bytes=content.size_bytes,
        width=content.width,
        height=content.height,
        codec=content.codec,
        setup=content.setup,
        run_us=parse_run_comment(content.comment),
        run_number=_number(content, run_number),
        damaged=damaged,
        until_next_us=content.header_length_us,
    )


def _number(content: FragmentedFile, number: int | None) -> int | None:
    # An open segment is not finished while it is written, or if its run ended with it.
    end_lost = content.end_lost and (content.finished or number is None)
    if content.start_lost:
        return LOST_BOTH if end_lost else LOST_START
    return LOST_END if end_lost else number


def probe(path: Path) -> Segment:
    """Read a closed segment for the index. Blocking.

    Our own segments contain the exact time of each frame. Those of the Go module start at the second in their name.

    Raises:
        UnreadableError: the file is empty, damaged, or not complete yet.
        UnknownFileError: it is not a recording.
        OSError: it cannot be read at the moment, which tells nothing about its content.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):  # the target of a link is not ours
        raise UnknownFileError("it is not a regular file")
    size_bytes = status.st_size
    try:
        content = read_ends(path)
        damaged = read_statement(path)
        if damaged is None:  # the end is missing, and with it what it stated
            damaged = read_damage(path, content)
    except NotOursError:
        return _probe_foreign(path, size_bytes)
    return dataclasses.replace(describe_fragments(path.name, content, damaged=damaged), size_bytes=size_bytes)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a segment's file in which everything can be read."""

    start_us: int
    end_us: int
    place: tuple[int, int] | None
    """Where it begins and ends in the file; None in one of another program, in which it is not in one place."""


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """Capture times of the frames of a segment, in microseconds UTC, sorted."""

    all_us: list[int]
    keyframes_us: list[int]
    entries_us: list[int]
    """Those of the keyframes at which a copy can begin behind the frames of another encoder."""
    end_us: int
    """End of the last frame: earlier than that of the segment if the end of the file is lost."""
    size_bytes: int
    """Up to the end of the last complete fragment."""
    look: Look
    has_tail: bool = False
    """Whether the file goes on behind its end with something else."""
    ragged: bool = False
    """Whether the file continues after that with something that cannot be read."""
    origin_us: int = 0
    """The time in the file of the first frame that is shown."""
    order: tuple[CodedFrame, ...] = ()
    """The frames in the order in which they are decoded, if that or its times differ from those they are shown in, or
    if decoding cannot begin with all that libav takes for keyframes."""
    stretches: tuple[Stretch, ...] = ()
    """What can be read, if something before it cannot."""
    header_bytes: int = 0
    """Where the fragments begin."""
    damaged: tuple[Range, ...] = ()
    """What is left out because the frames in it are damaged."""
    sound_bytes: int = 0
    """Bytes of its sound."""
    leading: Leading | None = None
    """The frames that are shown before its first one; they are in no other list."""
    complete_until_us: int | None = None
    """Where an open segment has frames of which some that are shown before them are not there yet; None if nowhere."""
    next_us: int | None = None
    """When the first frame of the next segment was captured, as its header says; None if that is not known."""


def frame_times(
    segment: Segment, path: Path, check: Range | None = None, without: Collection[int] = frozenset()
) -> FrameTimes:
    """Read the capture times of a segment's frames; of an open one, which grows, as far as it is described. Blocking.

    The frames that a clip of `check` needs are read too, and fragments with damaged ones are left out. So are those
    that begin at a time in `without`.

    Raises:
        UnreadableError: the file is gone or damaged.
        OSError: the system lacks resources at the moment (see `PASSING_ERRORS`), which tells nothing about the file.
    """
    try:
        is_open = parse_open_name(segment.file_name) is not None
        content = read_fragments(path, segment.size_bytes if is_open else None)
        if not is_open and (content.start_us >= segment.end_us or content.end_us <= segment.start_us):
            raise UnreadableError("its name is that of another segment now")
        if check is not None:
            without = {*without, *damaged_fragments(path, content.codec, read_for(check, content.fragments))}
        damaged = tuple(Range(one.first_us, one.end_us) for one in content.fragments if one.times_us[0] in without)
        content = content.without(without)
    except NotOursError as error:
        if segment.run_us is not None:
            raise UnreadableError("its header or all of its times are damaged") from error
        return _foreign_times(segment, path, check, without)
    except OSError as error:
        if error.errno in PASSING_ERRORS:
            raise
        raise UnreadableError(reason_of(error)) from error
    stretches: tuple[Stretch, ...] = ()
    if content.has_holes:
        stretches = tuple(one for one in map(_stretch, content.stretches) if one is not None)
        if not stretches:
            raise UnreadableError("no keyframe of it can be read")
    return FrameTimes(
        all_us=content.times_us,
        keyframes_us=content.keyframes_us,
        entries_us=content.entries_us,
        end_us=content.end_us,
        size_bytes=content.size_bytes,
        look=content.look,
        ragged=content.end_lost,
        has_tail=content.has_tail,
        stretches=stretches,
        header_bytes=content.header_bytes,
        damaged=damaged,
        order=content.order,
        origin_us=content.origin_us,
        sound_bytes=sum(one.size_bytes for one in content.sounds),
        leading=content.leading,
        complete_until_us=segment.end_us if is_open and segment.end_us < content.end_us else None,
        next_us=None if content.header_length_us is None else content.start_us + content.header_length_us,
    )


def needed_for(asked: Range, fragments: Sequence[Fragment]) -> list[Fragment]:
    """The fragments without which the frames of a range cannot be decoded: from the keyframe before it on."""
    keyed = (n for n, one in enumerate(fragments) if one.is_keyed and one.times_us[0] <= asked.from_us)
    first = max(keyed, default=0)
    return [one for one in fragments[first:] if one.first_us < asked.to_us]


def read_for(asked: Range, fragments: Sequence[Fragment]) -> list[Fragment]:
    """The fragments that ffmpeg reads for a range: also the first ones, to learn what the file is, and one behind."""
    needed = needed_for(asked, fragments)
    probed = [one for one in fragments if one.begin_byte < _PROBED_BYTES and one.first_us < asked.from_us]
    behind = [one for one in fragments if one.first_us >= asked.to_us][:1]
    return list(dict.fromkeys([*probed, *needed, *behind]))


def _stretch(fragments: list[Fragment]) -> Stretch | None:
    """What can be decoded of consecutive fragments: all from the first keyframe on."""
    keyed = next((number for number, one in enumerate(fragments) if one.is_keyed), None)
    if keyed is None:
        return None
    first, last = fragments[keyed], fragments[-1]
    return Stretch(first.times_us[0], last.end_us, (first.begin_byte, last.end_byte))


def _probe_foreign(path: Path, size_bytes: int) -> Segment:
    start_us = name_time_us(path.name)
    if start_us is None or start_us < _EARLIEST_US:
        raise UnknownFileError("its name has no time of a recording")
    try:
        with av.open(str(path), format="mp4", **lenient_tags()) as container:
            stream = container.streams.video[0]
            duration_us = container.duration
            if not duration_us or duration_us < 0:
                raise UnreadableError("it has no length")
            if duration_us > LONGEST_SEGMENT_US:
                raise UnknownFileError("it is too long for a segment")
            if parse_run_comment(tags_of(container).get("comment", "")) is not None:
                raise UnreadableError("videostore wrote it, and its header or all of its times are damaged")
            context = stream.codec_context
            if context is None:
                raise UnknownFileError("its codec is not known")
            if not any(packet.size for packet in container.demux(stream)):  # its header states a length
                raise UnreadableError("it has no frame")
            codec = context.name
            return Segment(
                file_name=path.name,
                start_us=start_us,
                end_us=start_us + duration_us,
                size_bytes=size_bytes,
                width=context.width,
                height=context.height,
                codec=_CODECS.get(codec, codec),
            )
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise UnreadableError(_reason(error)) from error
    except IndexError as error:
        if is_cut_off(path):
            raise UnreadableError("it ends within its header") from error
        raise UnknownFileError("it has no video") from error


def _foreign_times(segment: Segment, path: Path, check: Range | None, without: Collection[int]) -> FrameTimes:
    """The times of a file that is not ours, which starts at the second in its name."""
    start_us = segment.start_us
    checked_us = None if check is None else (check.from_us - start_us, check.to_us - start_us)
    try:
        read = read_foreign(path, checked_us)
    except (av.error.InvalidDataError, av.error.EOFError, av.error.FileNotFoundError, IndexError) as error:
        raise UnreadableError(_reason(error)) from error
    stretches: tuple[Stretch, ...] = ()
    damaged: list[Range] = []
    if checked_us is not None:
        intact = read.intact_stretches(*checked_us, [one - start_us for one in without])
        if intact is not None:
            ends = [(start_us + begin, segment.end_us if end is None else start_us + end) for begin, end in intact]
            stretches = tuple(Stretch(begin_us, end_us, None) for begin_us, end_us in ends)
            borders_us = [segment.start_us, *(one for pair in ends for one in pair), segment.end_us]
            pairs = zip(borders_us[::2], borders_us[1::2], strict=True)
            damaged = [Range(begin_us, end_us) for begin_us, end_us in pairs if begin_us < end_us]
            if not stretches:
                raise UnreadableError("none of it is intact")
    return FrameTimes(
        all_us=sorted(start_us + one.shown_us for one in read.frames),
        keyframes_us=sorted(start_us + one.shown_us for one in read.frames if one.keyframe),
        entries_us=[start_us + one.shown_us for one in borders(read.frames) if one.fresh],
        end_us=segment.end_us,
        size_bytes=segment.size_bytes,
        look=read.look,
        origin_us=read.origin_us,
        order=read.frames if read.late or is_delayed(read.frames) else (),
        stretches=stretches,
        damaged=tuple(damaged),
    )


def _reason(error: Exception) -> str:
    """libav's message, without its number and the path."""
    return getattr(error, "strerror", None) or str(error)
