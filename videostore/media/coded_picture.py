"""The coded frames that one picture of a segment needs: those from the keyframe before it up to its own."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.constants import MIB, US_PER_SECOND
from videostore.base.errors import reason_of
from videostore.base.files import PASSING_ERRORS
from videostore.media.coded_order import borders
from videostore.media.decoder_setup import DecoderSetup, NoSetupError, read_setup
from videostore.media.fmp4 import read_fragments
from videostore.media.foreign_frames import read_foreign
from videostore.media.fragmented_file import Fragment, NotOursError
from videostore.media.lenient_tags import lenient_tags
from videostore.media.libav import av
from videostore.media.look import Look
from videostore.media.nal_units import is_intact, length_bytes, split_units, unit_kind
from videostore.media.segment import Segment, UnreadableError
from videostore.media.segment_names import parse_open_name

MOST_BYTES = 64 * MIB
"""Of the frames that a picture needs: half a minute between keyframes at 17 Mbit/s. They are held in memory."""

_LOST_END_US = US_PER_SECOND // 2
"""A file that ends this much before its segment is cut off. Less is a different guess of the last frame's length."""
_START_CODE = b"\0\0\0\1"
_CONFIG_BEFORE = {"mpeg4": 0, "av1": 4}
"""Where `extradata` of other codecs has what belongs before the first frame."""


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """What a decoder needs for one frame."""

    codec: str
    """ffmpeg's name: `h264`, `hevc` …"""
    size: tuple[int, int]
    look: Look
    captured_us: int
    """Capture time of the frame, in microseconds UTC."""
    frames: tuple[tuple[int, bytes], ...]
    """Capture time and bytes of each frame in the order of decoding; the last is the one to show. The units of H.264
    and H.265 have start codes, and the parameter sets come first."""
    exact: bool
    """Whether it is the frame that is shown at the moment that was asked for, not a keyframe before it."""
    whole: bool
    """Whether everything that it needs is there and can be divided into units."""


class TooMuchError(Exception):
    """The frames that a picture needs have more than `MOST_BYTES`."""


def read_coded_picture(
    segment: Segment,
    path: Path,
    end_us: int,
    at_us: int,
    following: tuple[Segment, Path] | None = None,
    *,
    keyframe: bool,
) -> CodedPicture | None:
    """The frame that a segment, whose last frame ends at `end_us`, shows at a moment; or the last keyframe up to it.

    None if it shows none then: nothing was captured, or that part of the file cannot be read. `following` is the next
    segment, if the stream goes on there: it may begin with frames that are shown before it. Blocking.

    Raises:
        UnreadableError: the file is missing or damaged.
        TooMuchError: the picture needs too much.
        OSError: the system lacks resources at the moment.
    """
    try:
        return _read_ours(segment, path, end_us, at_us, following, keyframe=keyframe)
    except NotOursError as error:
        if segment.run_us is not None:
            raise UnreadableError("its header or all of its times are damaged") from error
    except NoSetupError as error:
        raise UnreadableError("its sample description is damaged") from error
    except OSError as error:
        if error.errno in PASSING_ERRORS:
            raise
        raise UnreadableError(reason_of(error)) from error
    try:
        return _read_foreign(segment, path, end_us, at_us, keyframe=keyframe)
    except (av.error.FFmpegError, NoSetupError, IndexError, ValueError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from error


def _read_ours(
    segment: Segment, path: Path, end_us: int, at_us: int, following: tuple[Segment, Path] | None, *, keyframe: bool
) -> CodedPicture | None:
    is_open = parse_open_name(segment.file_name) is not None
    content = read_fragments(path, segment.size_bytes if is_open else None)
    # Of an open one, frames that are shown before the last ones may not be there yet.
    times_us = [one for one in content.times_us if one < segment.end_us] if is_open else content.times_us
    number = bisect.bisect_right(times_us, at_us) - 1
    if number < 0:
        return None
    shown_us = times_us[number]
    fragments = content.fragments
    last = max(n for n, one in enumerate(fragments) if shown_us in one.times_us)
    if number + 1 < len(times_us):
        end_us = _end_us(fragments, last, times_us[number + 1])
    elif not is_open and (content.end_lost or content.end_us < segment.end_us - _LOST_END_US):
        end_us = content.end_us
    if at_us >= end_us:
        return None
    begins = [n for n, one in enumerate(fragments[: last + 1]) if one.is_keyed and one.times_us[0] <= shown_us]
    if not begins:
        raise UnreadableError("the keyframe before it cannot be read")
    first = begins[-1]
    last, wanted_us = (first, fragments[first].times_us[0]) if keyframe else (last, shown_us)
    needed = fragments[first : last + 1]
    leading: tuple[tuple[int, bytes], ...] = ()
    if not keyframe and following is not None and shown_us == times_us[-1] and content.is_reordered:
        leading = _read_leading(following, at_us)
    if leading:
        needed, wanted_us = fragments[first:], leading[-1][0]
    frames = _read_frames(path, needed, None if leading else wanted_us)
    picture = CodedPicture(
        content.codec,
        (content.width, content.height),
        content.look,
        wanted_us,
        (*frames, *leading),
        exact=not keyframe or wanted_us == shown_us,
        whole=all(one.end_byte == other.begin_byte for one, other in itertools.pairwise(needed)),
    )
    return _decodable(picture, read_setup(path).config, path)


def _end_us(fragments: Sequence[Fragment], number: int, following_us: int) -> int:
    """How long a frame of a fragment is shown: until the next one, or until something that cannot be read."""
    one, other = fragments[number], fragments[min(number + 1, len(fragments) - 1)]
    if one is other or following_us in one.times_us or one.end_byte == other.begin_byte:
        return following_us
    return one.end_us


def _read_leading(following: tuple[Segment, Path], at_us: int) -> tuple[tuple[int, bytes], ...]:
    """The frames of the next segment up to the one that is shown at a moment before its start; empty if none is."""
    segment, path = following
    content = read_fragments(path, segment.size_bytes if parse_open_name(segment.file_name) else None)
    leading = content.leading
    shown_us = [one for one in leading.shown_us if one <= at_us] if leading is not None else []
    if not shown_us:
        return ()
    last = next(number for number, one in enumerate(content.fragments) if shown_us[-1] in one.times_us)
    return _read_frames(path, content.fragments[: last + 1], shown_us[-1], leading=True)


def _read_frames(
    path: Path, fragments: Sequence[Fragment], wanted_us: int | None, *, leading: bool = False
) -> tuple[tuple[int, bytes], ...]:
    """The frames of fragments, up to one that is in the last of them, or all; without those that need frames before
    the first one, unless `leading` ones are wanted."""
    from_us = -1 if leading else fragments[0].times_us[0]
    coded: list[tuple[int, bytes]] = []
    total_bytes = 0
    with path.open("rb") as file:
        for one in fragments:
            file.seek(one.body_byte)
            for time_us, size in zip(one.times_us, one.sizes, strict=True):
                total_bytes += size
                if total_bytes > MOST_BYTES:
                    raise TooMuchError
                data = file.read(size)
                if time_us >= from_us:
                    coded.append((time_us, data))
                if time_us == wanted_us:
                    break
    return tuple(coded)


def _read_foreign(segment: Segment, path: Path, end_us: int, at_us: int, *, keyframe: bool) -> CodedPicture | None:
    """Of a file of another program, which starts at the second in its name."""
    start_us = segment.start_us
    if not start_us <= at_us < end_us:
        return None
    read = read_foreign(path)
    shown_us = max(one.shown_us for one in read.frames if one.shown_us <= at_us - start_us)
    begin_us = max((one.shown_us for one in borders(read.frames) if one.shown_us <= shown_us), default=0)
    wanted_us = begin_us if keyframe else shown_us
    numbers = {one.shown_us: number for number, one in enumerate(read.frames)}
    first, last = numbers[begin_us], numbers[wanted_us]
    codec, size, config, data = _read_packets(path, first, last)
    times_us = [start_us + one.shown_us for one in read.frames[first : last + 1]]
    picture = CodedPicture(
        codec,
        size,
        read.look,
        start_us + wanted_us,
        tuple(zip(times_us, data, strict=True)),
        exact=wanted_us == shown_us,
        whole=True,
    )
    return _decodable(picture, config, path)


def _read_packets(path: Path, first: int, last: int) -> tuple[str, tuple[int, int], bytes, list[bytes]]:
    """Codec, size and config of a file, and its coded frames from one number to another."""
    data: list[bytes] = []
    total_bytes = 0
    with av.open(str(path), format="mp4", **lenient_tags()) as container:
        stream = container.streams.video[0]
        packets = (one for one in container.demux(stream) if one.pts is not None and one.size and not one.is_discard)
        for number, packet in enumerate(packets):
            if number >= first:
                total_bytes += packet.size
                if total_bytes > MOST_BYTES:
                    raise TooMuchError
                data.append(bytes(packet))
            if number == last:
                break
        context = stream.codec_context
        return context.name, (context.width, context.height), bytes(context.extradata or b""), data


def _decodable(picture: CodedPicture, config: bytes, path: Path) -> CodedPicture:
    """The picture in a form that a decoder takes without the header of the file."""
    codec, whole = picture.codec, picture.whole
    lengths = length_bytes(codec, config)
    if lengths is None:
        head = _other_config(codec, path)
        frames = [(time_us, data) for time_us, data in picture.frames]
    else:
        head = parameter_sets(codec, config)
        whole = whole and all(is_intact(codec, data, lengths) for _, data in picture.frames)
        frames = [(time_us, with_start_codes(data, lengths)) for time_us, data in picture.frames]
    frames[0] = frames[0][0], head + frames[0][1]
    return replace(picture, frames=tuple(frames), whole=whole)


def parameter_sets(codec: str, config: bytes) -> bytes:
    """Those of a decoder's configuration, with start codes."""
    sets = sorted(DecoderSetup(codec, 1, config).sets, key=lambda unit: unit_kind(codec, unit))
    return b"".join(_START_CODE + unit for unit in sets)


def with_start_codes(data: bytes, lengths: int) -> bytes:
    """The units of a frame, as far as it can be divided into them."""
    units = []
    try:
        for unit in split_units(data, lengths):
            units.append(_START_CODE + unit)
    except ValueError:
        pass  # what follows is lost; a decoder fills it in, and the picture is told to be damaged
    return b"".join(units)


def _other_config(codec: str, path: Path) -> bytes:
    """What belongs before the first frame of codecs without parameter sets of their own."""
    if codec not in _CONFIG_BEFORE:
        return b""
    with av.open(str(path), format="mp4", **lenient_tags()) as container:
        return bytes(container.streams.video[0].codec_context.extradata or b"")[_CONFIG_BEFORE[codec] :]
