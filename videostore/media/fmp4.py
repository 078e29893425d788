"""Reads the exact time of every frame from the boxes of a segment.

ffmpeg writes a `prft` box (producer reference time, ISO/IEC 14496-12, 8.16.5) before each fragment of our segments:
the capture time of the fragment's first frame, UTC, to the microsecond. Together with the durations in `trun` it gives
the time of every frame, also in a file that is still being written or was cut off by a power failure. PyAV does not
read this box and takes 15 ms to open a file; this module reads only headers, in well under 1 ms.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import MAX_STEP_IN_RUN_US, MIB, US_PER_SECOND
from videostore.media.h26x import starts_fresh
from videostore.media.look import Look

_NTP_TO_UNIX_S = 2_208_988_800
CODECS = {b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"av01": "av1", b"mp4v": "mpeg4"}
_CONTAINERS = frozenset({b"trak", b"mdia", b"minf", b"stbl", b"traf", b"udta", b"ilst", b"\xa9cmt"})
_FULL_CONTAINERS = {b"meta": 4, b"stsd": 8}
_MAX_HEADER_BYTES = 16 * MIB
"""Far more than any `moov` or `moof` of a segment: a greater length is garbage."""

_LONGEST_FRAGMENT_US = 2 * MAX_STEP_IN_RUN_US
"""A fragment contains a second, or one frame that lasts until the next. If it claims more, it is damaged."""

_DAMAGE = (struct.error, IndexError, KeyError, ValueError, OverflowError, RecursionError)
"""Errors of reading garbage as boxes."""

_NON_SYNC = 0x10000
"""`sample_is_non_sync_sample` of a sample's flags (8.8.3.1)."""

_MFRO_BYTES = 16
_PRFT_BYTES = 32
"""As ffmpeg writes it, with a media time of 64 bits."""

_MAX_FRAMES = 100_000
"""Far more than the frames of a fragment, which is a second."""


class NotOursError(ValueError):
    """The file has no times of frames: it is not one of our segments, or has no complete fragment yet."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The frames up to the next keyframe, or one second of them if keyframes are further apart."""

    times_us: tuple[int, ...]
    """Capture time of each frame, in microseconds UTC."""
    keyframes_us: tuple[int, ...]
    """Those of the frames at which decoding can begin; none if it begins in an earlier fragment."""
    end_us: int
    """End of its last frame, in microseconds UTC."""
    end_byte: int
    """Position of its end in the file."""
    fresh: bool = False
    """Whether it starts with a keyframe that can follow the frames of another encoder."""


@dataclass(frozen=True, slots=True)
class FragmentedFile:
    """The content of one of our segments: all fragments that are complete."""

    width: int
    height: int
    codec: str
    """ffmpeg's name: `h264`, `hevc` …"""
    setup: str
    """Digest of the decoder's configuration: streams with the same digest can be joined as they are."""
    look: Look
    comment: str
    """The `comment` tag."""
    fragments: tuple[Fragment, ...]
    finished: bool
    """Whether ffmpeg has finished the file; otherwise it is still being written, or was cut off."""

    @property
    def start_us(self) -> int:
        """Capture time of the first frame."""
        return self.fragments[0].times_us[0]

    @property
    def end_us(self) -> int:
        """End of the last frame."""
        return self.fragments[-1].end_us

    @property
    def size_bytes(self) -> int:
        """Bytes up to the end of the last complete fragment."""
        return self.fragments[-1].end_byte

    @property
    def times_us(self) -> list[int]:
        """Capture times of all frames."""
        return [time_us for fragment in self.fragments for time_us in fragment.times_us]

    @property
    def keyframes_us(self) -> list[int]:
        """Capture times of the frames at which decoding can begin."""
        return [time_us for fragment in self.fragments for time_us in fragment.keyframes_us]

    @property
    def entries_us(self) -> list[int]:
        """Capture times of the keyframes that can follow the frames of another encoder."""
        return [fragment.times_us[0] for fragment in self.fragments if fragment.fresh]


def read_fragments(path: Path, within_bytes: int | None = None) -> FragmentedFile:
    """Read the headers of a segment, or of its first `within_bytes`. Blocking: a few reads per second of video.

    Raises:
        NotOursError: it is not an MP4, or has no `prft` or no complete fragment.
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=1024) as file:
        try:
            file_bytes = path.stat().st_size
            return _read(file, file_bytes if within_bytes is None else min(file_bytes, within_bytes))
        except _DAMAGE as error:
            raise NotOursError(f"{path.name} is damaged or is not a segment") from error


def read_ends(path: Path) -> FragmentedFile:
    """Read only the first and the last fragment of a segment. Blocking: three reads, regardless of its length.

    The last one is found by ffmpeg's table of fragments at the end of the file. Without it all fragments are read.

    Raises:
        NotOursError: it is not an MP4, or has no `prft` or no complete fragment.
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=4096) as file:
        try:
            file_bytes = path.stat().st_size
            if last := _last_fragment(file, file_bytes):
                return _read(file, file_bytes, last)
        except (*_DAMAGE, NotOursError):
            pass
    return read_fragments(path)


def is_cut_off(path: Path) -> bool:
    """Whether a file ends within a box. Blocking."""
    with path.open("rb", buffering=1024) as file:
        file_bytes = path.stat().st_size
        return max((end for *_, end in _top_level(file, file_bytes, lambda: None)), default=0) < file_bytes


def _last_fragment(file: BinaryIO, file_bytes: int) -> int | None:
    """Position of the last fragment's `prft`, from `mfra` (8.8.9); None if the file does not end with one."""
    try:
        return _find_last_fragment(file, file_bytes)
    except _DAMAGE:
        return None


def _find_last_fragment(file: BinaryIO, file_bytes: int) -> int | None:
    if file_bytes < _MFRO_BYTES:
        return None
    file.seek(file_bytes - _MFRO_BYTES)
    size, kind, _, mfra_bytes = struct.unpack(">I4sII", file.read(_MFRO_BYTES))
    if (size, kind) != (_MFRO_BYTES, b"mfro") or not _MFRO_BYTES < mfra_bytes <= min(file_bytes, _MAX_HEADER_BYTES):
        return None
    file.seek(file_bytes - mfra_bytes)
    mfra = file.read(mfra_bytes)
    if mfra[4:8] != b"mfra":
        return None
    tfra = dict(_leaves(mfra[8:])).get(b"tfra")
    if tfra is None:
        return None
    lengths, count = struct.unpack_from(">II", tfra, 8)
    offset_bytes = 8 if tfra[0] else 4
    entry_bytes = 2 * offset_bytes + (lengths >> 4 & 3) + (lengths >> 2 & 3) + (lengths & 3) + 3
    if count < 1:
        return None
    at = 16 + (count - 1) * entry_bytes + offset_bytes
    begin = int.from_bytes(tfra[at : at + offset_bytes], "big") - _PRFT_BYTES
    if not 0 < begin < file_bytes:
        return None
    file.seek(begin)
    size, kind = struct.unpack(">I4s", file.read(8))
    return begin if (size, kind) == (_PRFT_BYTES, b"prft") else None


def _read(file: BinaryIO, file_bytes: int, last_fragment: int | None = None) -> FragmentedFile:
    """Read the fragments. With `last_fragment`, the position of the last one, those between are skipped."""
    moov: dict[bytes, bytes] = {}
    fragments: list[Fragment] = []
    start_us: int | None = None
    moof: dict[bytes, bytes] = {}
    timescale, finished = 0, False
    boxes = _top_level(file, file_bytes, lambda: last_fragment if len(fragments) == 1 else None)
    for kind, header_bytes, begin, end in boxes:
        if kind in (b"moov", b"moof", b"prft") and end - begin > _MAX_HEADER_BYTES:
            break
        if kind == b"moov":
            moov = dict(_leaves(file.read(end - begin - header_bytes)))
            timescale = _timescale(moov[b"mdhd"])
        elif kind == b"prft":
            start_us = _ntp_us(file.read(end - begin - header_bytes))
        elif kind == b"moof":
            moof = dict(_leaves(file.read(end - begin - header_bytes)))
        elif kind == b"mfra":
            finished = True
        elif kind == b"mdat" and moof and start_us is not None and timescale:
            try:
                fragment = _fragment(moof, start_us, timescale, end)
            except _DAMAGE:
                break
            if fragments and fragment.times_us[0] <= fragments[-1].times_us[-1]:
                break  # times must increase: the rest of the file is damaged
            if fragment.keyframes_us[:1] == fragment.times_us[:1]:
                fragment = replace(fragment, fresh=starts_fresh(_codec(moov), _reader(file, begin + header_bytes, end)))
            fragments.append(fragment)
            moof, start_us = {}, None
    if not fragments or not moov:
        raise NotOursError("it has no fragment with a time")
    entry = moov[b"stsd"]
    width, height = struct.unpack_from(">HH", entry, 8 + 24)
    return FragmentedFile(
        width=width,
        height=height,
        codec=_codec(moov),
        setup=hashlib.blake2b(entry, digest_size=8).hexdigest(),
        look=Look.of_entry(entry),
        comment=moov.get(b"data", b"\0" * 8)[8:].decode(),
        fragments=tuple(fragments),
        finished=finished,
    )


def _codec(moov: dict[bytes, bytes]) -> str:
    entry = moov[b"stsd"]
    return CODECS.get(entry[4:8], entry[4:8].decode("ascii"))


def _reader(file: BinaryIO, begin: int, end: int) -> Callable[[int, int], bytes]:
    """Reads at a position of a part of a file."""

    def read(at: int, count: int) -> bytes:
        file.seek(begin + at)
        return file.read(max(0, min(count, end - begin - at)))

    return read


def _top_level(
    file: BinaryIO, file_bytes: int, skip_to: Callable[[], int | None]
) -> Iterator[tuple[bytes, int, int, int]]:
    """Kind, header size, begin and end of each complete box. The file is positioned after the header.

    If `skip_to` returns a later position, the boxes before it are skipped.
    """
    begin = 0
    while begin + 8 <= file_bytes:
        file.seek(begin)
        size, kind = struct.unpack(">I4s", file.read(8))
        header_bytes = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            header_bytes = 16
        end = begin + size
        if size < header_bytes or end > file_bytes:
            return
        yield kind, header_bytes, begin, end
        begin = max(end, skip_to() or 0)


def _leaves(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes inside a box that contain no others, by name. A segment has one track, so names are unique."""
    begin = 0
    while begin + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, begin)
        if size < 8 or begin + size > len(data):
            return
        body = data[begin + 8 : begin + size]
        if kind in _CONTAINERS:
            yield from _leaves(body)
        elif kind in _FULL_CONTAINERS and kind != b"stsd":
            yield from _leaves(body[_FULL_CONTAINERS[kind] :])
        elif kind == b"stsd":
            yield kind, body[_FULL_CONTAINERS[kind] :]
        else:
            yield kind, body
        begin += size


def _timescale(mdhd: bytes) -> int:
    scale: int = struct.unpack_from(">I", mdhd, 20 if mdhd[0] else 12)[0]
    return scale


def _ntp_us(prft: bytes) -> int:
    ntp: int = struct.unpack_from(">Q", prft, 8)[0]
    seconds = (ntp >> 32) - _NTP_TO_UNIX_S
    if seconds < 0:  # nothing is recorded before 1970: this is NTP's second era, which starts in February 2036
        seconds += 1 << 32
    return seconds * US_PER_SECOND + round((ntp & 0xFFFFFFFF) * US_PER_SECOND / (1 << 32))


def _fragment(moof: dict[bytes, bytes], start_us: int, timescale: int, end_byte: int) -> Fragment:
    tfhd, trun = moof[b"tfhd"], moof[b"trun"]
    tfhd_flags = int.from_bytes(tfhd[1:4], "big")
    at = 8 + 8 * bool(tfhd_flags & 0x1) + 4 * bool(tfhd_flags & 0x2)
    default_duration = struct.unpack_from(">I", tfhd, at)[0] if tfhd_flags & 0x8 else 0

    flags = int.from_bytes(trun[1:4], "big")
    (count,) = struct.unpack_from(">I", trun, 4)
    at = 8 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)
    fields = [bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
    stride = 4 * sum(fields)
    if not 0 < count <= _MAX_FRAMES or at + count * stride > len(trun):
        raise NotOursError(f"it has a fragment of {count} frames")
    times, elapsed = [], 0
    for sample in range(count):
        times.append(start_us + elapsed * US_PER_SECOND // timescale)
        elapsed += struct.unpack_from(">I", trun, at + sample * stride)[0] if fields[0] else default_duration
    if elapsed * US_PER_SECOND > _LONGEST_FRAGMENT_US * timescale:
        raise NotOursError("it has a fragment that is too long")
    keyframes = tuple(times[sample] for sample in _sync_samples(tfhd, trun, count))
    return Fragment(tuple(times), keyframes, start_us + elapsed * US_PER_SECOND // timescale, end_byte)


def _sync_samples(tfhd: bytes, trun: bytes, count: int) -> list[int]:
    """Which samples of a fragment are keyframes, by the flags of each, of the first, or of all (8.8.7, 8.8.8).

    Without flags it is the first one: ffmpeg writes flags if a fragment has no keyframe.
    """
    tfhd_flags, flags = int.from_bytes(tfhd[1:4], "big"), int.from_bytes(trun[1:4], "big")
    default = _NON_SYNC
    if has_default := tfhd_flags & 0x20:
        at = 8 + 8 * bool(tfhd_flags & 0x1) + sum(4 for bit in (0x2, 0x8, 0x10) if tfhd_flags & bit)
        (default,) = struct.unpack_from(">I", tfhd, at)
    at = 8 + 4 * bool(flags & 0x1)
    if flags & 0x400:
        stride = sum(4 for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit)
        at += 4 * bool(flags & 0x4) + sum(4 for bit in (0x100, 0x200) if flags & bit)
        return [n for n in range(count) if not struct.unpack_from(">I", trun, at + n * stride)[0] & _NON_SYNC]
    first = struct.unpack_from(">I", trun, at)[0] if flags & 0x4 else default if has_default else 0
    rest = range(1, count) if not default & _NON_SYNC else ()
    return [*([] if first & _NON_SYNC else [0]), *rest]
