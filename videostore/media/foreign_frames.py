"""Frames of MP4 files of other programs, such as those of the Go module: read, and copied, by libav."""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from videostore.base.constants import US_PER_SECOND
from videostore.base.files import open_regular
from videostore.media.coded_order import CodedFrame, borders
from videostore.media.h26x import starts_fresh
from videostore.media.lenient_tags import lenient_tags
from videostore.media.libav import av
from videostore.media.look import Look
from videostore.media.nal_units import is_intact, length_bytes, picture_byte
from videostore.media.recovery_point import recovers_later
from videostore.media.sample_table import read_table
from videostore.media.trial_decoder import TRIED, TrialDecoder

_ROUNDING_US = 2
"""A position in a copy may be so much off that in the file."""
_BEGINNING_BYTES = 1024
"""What is read of a keyframe to know its kind: its parameter sets and messages take less."""

_Header = tuple[bytes, bytes]
"""What tells how the frames of a file are to be decoded and shown: in its header, and before its first picture."""
_KNOWN: dict[_Header, Look | None] = {}
"""What libav made of files with these headers; None if it read other frames than their tables tell. So a header that
is damaged, or that only libav understands, is left to it."""
_MOST_KNOWN = 64
"""A recording has few."""
_UNREAD = object()


@dataclass(frozen=True, slots=True)
class ForeignFrames:
    """The frames of a file."""

    frames: tuple[CodedFrame, ...]
    """In the order in which they are decoded."""
    intact: tuple[bool, ...]
    """Whether each can be divided into NAL units, as far as that was looked at."""
    origin_us: int
    """The time in the file of the first one that is shown."""
    look: Look
    late: bool
    """Whether libav takes frames for keyframes that are none."""

    @property
    def starts_us(self) -> list[int]:
        """Where a part begins that decodes without what is before it."""
        return sorted({0, *(one.shown_us for one in borders(self.frames))})

    def intact_stretches(
        self, from_us: int, to_us: int, without_us: Collection[int] = ()
    ) -> list[tuple[int, int | None]] | None:
        """What can be shown without frames that are damaged, each from a keyframe to the next one after it.

        Only those between two positions count, and all parts that begin at one of `without_us`. None if there are none;
        the end of the file is None.
        """
        starts_us = self.starts_us
        ends_us = [*starts_us[1:], None]
        bad_us = [one.shown_us for one, intact in zip(self.frames, self.intact, strict=True) if not intact]
        stretches: list[tuple[int, int | None]] = []
        whole = True
        for start_us, end_us in zip(starts_us, ends_us, strict=True):
            asked = start_us < to_us and (end_us is None or end_us > from_us)
            bad = asked and any(_is_within(one, start_us, end_us) for one in bad_us)
            if bad or any(abs(one - start_us) <= _ROUNDING_US for one in without_us):
                whole = False
            elif stretches and stretches[-1][1] == start_us:
                stretches[-1] = stretches[-1][0], end_us
            else:
                stretches.append((start_us, end_us))
        return None if whole else stretches


def read_foreign(path: Path, checked_us: tuple[int, int] | None = None) -> ForeignFrames:
    """Read the frames of a file. Of those that are needed between two positions, it is told whether they are `intact`;
    of others perhaps not. Blocking.

    Raises:
        av.error.FFmpegError, IndexError: it cannot be read, or has no video.
    """
    table = None
    with contextlib.suppress(OSError):  # libav tells what it is
        table = _read_by_table(path, checked_us)
    if table is None:
        return _read_by_libav(path)
    header, frames = table
    look = _KNOWN.get(header, _UNREAD)
    if isinstance(look, Look):
        return replace(frames, look=look)
    whole = _read_by_libav(path)
    if look is _UNREAD and all(whole.intact):
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[header] = whole.look if replace(frames, look=whole.look) == whole else None
    return whole


def _read_by_table(path: Path, checked_us: tuple[int, int] | None) -> tuple[_Header, ForeignFrames] | None:
    """What tells how the frames are to be decoded and shown, and the frames, without their look; None if libav has to
    read the file."""
    with open_regular(path, buffering=0) as file:
        table = read_table(file, os.fstat(file.fileno()).st_size)
        lengths = None if table is None else length_bytes(table.codec, table.config)
        if table is None or lengths is None:
            return None
        codec, beginnings = table.codec, dict[int, bytes]()
        for number in table.keyframes:
            begin, size = table.places[number]
            data = beginnings[number] = _read(file, begin, min(size, _BEGINNING_BYTES))
            if picture_byte(codec, data, lengths) is None or _keyframe_kind(codec, data, lengths) != (True, True):
                return None
        frames = []
        for number, time in enumerate(table.times):
            keyframe, time_us = number in beginnings, time * US_PER_SECOND // table.timescale
            frames.append(CodedFrame(time_us, time_us, keyframe, keyframe))
        needed = () if checked_us is None else _needed(frames, *checked_us)
        if not all(is_intact(codec, _read(file, *table.places[number]), lengths) for number in needed):
            return None
        first = beginnings[0][: picture_byte(codec, beginnings[0], lengths)]
        return (table.header, first), ForeignFrames(tuple(frames), (True,) * len(frames), 0, Look(), late=False)


def _needed(frames: Sequence[CodedFrame], from_us: int, to_us: int) -> range:
    """The numbers of the frames that are needed between two positions, and of all that lie between the same keyframes.
    Frames are decoded in the order in which they are shown."""
    keyframes = [number for number, one in enumerate(frames) if one.keyframe]
    first = max((one for one in keyframes if frames[one].shown_us <= from_us), default=0)
    stop = min((one for one in keyframes if frames[one].shown_us >= to_us), default=len(frames))
    return range(first, stop)


def _read(file: BinaryIO, begin: int, size: int) -> bytes:
    data = os.pread(file.fileno(), size, begin)
    if len(data) != size:
        raise OSError(errno.EIO, "the file has become shorter")
    return data


def _read_by_libav(path: Path) -> ForeignFrames:
    coded, intact, late = list[tuple[int, int, bool, bool]](), [], False
    with av.open(str(path), format="mp4", **lenient_tags()) as container:
        stream = container.streams.video[0]
        codec, config = stream.codec_context.name, stream.codec_context.extradata or b""
        lengths = length_bytes(codec, config)
        base, look = stream.time_base, Look.of_stream(stream)
        assert base is not None
        factor = base * US_PER_SECOND
        multiplier, divisor = factor.numerator, factor.denominator  # a fraction for each frame takes long
        for packet in container.demux(stream):
            shown, decoded = packet.pts, packet.dts
            if shown is None or packet.size == 0 or packet.is_discard:  # hidden by an edit list
                continue
            shown_us = _toward_zero(shown * multiplier, divisor)
            decoded_us = shown_us if decoded in (None, shown) else _toward_zero(decoded * multiplier, divisor)
            data = bytes(packet)
            keyframe, fresh = _keyframe_kind(codec, data, lengths or 4) if packet.is_keyframe else (False, False)
            late = late or (packet.is_keyframe and not keyframe)
            coded.append((shown_us, decoded_us, keyframe, fresh))
            intact.append(lengths is None or is_intact(codec, data, lengths))
    first_us = min((one[0] for one in coded), default=0)
    frames = tuple(CodedFrame(shown_us - first_us, decoded_us - first_us, k, f) for shown_us, decoded_us, k, f in coded)
    return ForeignFrames(frames, tuple(intact), first_us, look, late)


def _toward_zero(value: int, divisor: int) -> int:
    return value // divisor if value >= 0 else -(-value // divisor)


def undecodable_parts(path: Path, from_us: int, to_us: int) -> list[int]:
    """Where the parts of a file begin that are shown between two positions, and do not decode. Blocking.

    Raises:
        av.error.FFmpegError, IndexError: it cannot be read, or has no video.
    """
    starts_us = read_foreign(path).starts_us
    with av.open(str(path), format="mp4", **lenient_tags()) as container:
        stream = container.streams.video[0]
        codec, config, base = stream.codec_context.name, stream.codec_context.extradata or b"", stream.time_base
        lengths = length_bytes(codec, config)
        if lengths is None or codec not in TRIED or base is None:
            return []
        packets = [one for one in container.demux(stream) if one.pts is not None and one.size and not one.is_discard]
        first = min(one.pts for one in packets)
        parts: dict[int, list[Any]] = {}
        for packet in packets:
            at_us = int((packet.pts - first) * base * US_PER_SECOND)
            parts.setdefault(bisect.bisect_right(starts_us, at_us) - 1, []).append(packet)
        failed = []
        for number, coded in parts.items():
            end_us = starts_us[number + 1] if number + 1 < len(starts_us) else None
            if starts_us[number] < to_us and (end_us is None or end_us > from_us):
                decoder = TrialDecoder(codec, config, lengths)
                for packet in coded:
                    decoder.decode(bytes(packet), 0)
                decoder.finish()
                failed += [starts_us[number]] if decoder.failed else []
        return failed


def copy_foreign(path: Path, target: Path, from_us: int, to_us: int | None) -> None:
    """Copy the frames that are shown between two positions, from the first one of a file on. Blocking.

    Raises:
        av.error.FFmpegError: it cannot be read, or the copy cannot be written.
    """
    with av.open(str(path), format="mp4", **lenient_tags()) as container:
        stream = container.streams.video[0]
        base = stream.time_base
        assert base is not None
        packets = [one for one in container.demux(stream) if one.pts is not None and one.size and not one.is_discard]
        first = min(one.pts for one in packets)
        shown = [one for one in packets if _is_within(int((one.pts - first) * base * US_PER_SECOND), from_us, to_us)]
        _write(target, stream, shown)


def _is_within(at_us: int, from_us: int, to_us: int | None) -> bool:
    return from_us <= at_us and (to_us is None or at_us < to_us)


def _write(target: Path, stream: Any, packets: Sequence[Any]) -> None:
    options = {"video_track_timescale": str(stream.time_base.denominator)}
    with av.open(str(target), "w", format="mp4", options=options) as output:
        copied = output.add_stream_from_template(stream)
        copied.time_base = stream.time_base
        first = min(one.pts for one in packets)
        for packet in packets:
            packet.pts -= first
            packet.dts = None if packet.dts is None else packet.dts - first
            packet.stream = copied
            output.mux(packet)


def _keyframe_kind(codec: str, data: bytes, lengths: int) -> tuple[bool, bool]:
    """Whether decoding can begin with a keyframe, and whether it can be behind the frames of another encoder."""
    if codec == "h264" and recovers_later(data, length_bytes=lengths):
        return False, False
    return True, starts_fresh(codec, lambda begin, count: data[begin : begin + count], length_bytes=lengths)
