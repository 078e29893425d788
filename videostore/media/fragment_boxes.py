"""The boxes of one fragment: what they claim about the times and places of its frames, before it is compared."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from videostore.base.constants import KEYFRAME_INTERVAL_S, MAX_STEP_IN_RUN_US, US_PER_SECOND
from videostore.media.boxes import DAMAGE, Box, first_leaves, read_body, read_box, track_leaves
from videostore.media.sound_track import SoundClaim, read_sound

_NTP_TO_UNIX_S = 2_208_988_800
_LONGEST_FRAGMENT_US = 2 * MAX_STEP_IN_RUN_US
"""A fragment contains a second, or one frame that lasts until the next. If it claims more, it is damaged."""

_LATEST_FRAME_US = 2 * KEYFRAME_INTERVAL_S * US_PER_SECOND
"""A frame so long after the first one is in another fragment."""

_NON_SYNC = 0x10000
"""`sample_is_non_sync_sample` of a sample's flags (8.8.3.1)."""

_MAX_FRAMES = 100_000
"""Far more than the frames of a fragment, which is a second."""


@dataclass(frozen=True, slots=True)
class FragmentClaim:
    """What the boxes of a fragment say. Media times are in the unit of the file."""

    captured_us: int | None
    """Capture time of the first frame by `prft`, UTC; None if that box is missing or damaged."""
    base: int | None
    """The first frame's media time by `tfdt`, with its composition offset; None if it is not given."""
    decode_base: int | None
    """The same without the offset: what `tfdt` says."""
    elapsed: tuple[int, ...]
    """Media time of each frame since the first one. Frames are in the order in which they are decoded."""
    length: int
    """Sum of the durations of all frames."""
    keyframes: tuple[int, ...]
    """Which frames are keyframes."""
    begin_byte: int
    body_byte: int
    """Where its first frame begins."""
    end_byte: int
    sizes: tuple[int, ...] = ()
    """Bytes of each frame; empty if they are not given."""
    decoded: tuple[int, ...] = ()
    """Media time at which each frame is decoded, since the first one; empty if they are decoded when they are shown."""
    sounds: tuple[SoundClaim, ...] = ()
    """The sound in it, and in the fragments of sound alone that follow it."""

    @property
    def likely_length(self) -> int:
        """The length if no fragment follows: the last frame's duration is a guess then, and nothing confirms it."""
        decoded = self.decoded or self.elapsed
        last = self.length - decoded[-1]
        others = [after - before for before, after in itertools.pairwise(decoded)]
        return max(self.elapsed) + (min(last, 2 * max(others)) if others and last > self.length // 2 else last)

    @property
    def shown_length(self) -> int:
        """Until the end of the frame that is shown last."""
        return self.length if not self.decoded else max(self.elapsed) + self.length - self.decoded[-1]


def read_fragment(
    file: BinaryIO, moof: Box, time: Box | None, timescale: int, file_bytes: int, sound_track: int | None = None
) -> FragmentClaim | SoundClaim | None:
    """Read the fragment of a `moof`, and of the `prft` before it; None if its end is not written yet. Blocking.

    `sound_track` is the number of the track of the sound, if the file has one. Of a fragment that has nothing else it
    returns only that.

    Raises:
        ValueError, or another error of `DAMAGE`: it is damaged.
    """
    body = read_body(file, moof)
    content, sounds = first_leaves(body), []
    if sound_track is not None:
        tracks = track_leaves(body)
        sounds = [read_sound(one, moof.begin) for one in tracks if _track_of(one) == sound_track]
        if len(sounds) == len(tracks) == 1:
            whole = _ends_whole(file, moof, sum(sounds[0].sizes), sounds[0].begin_byte - moof.begin, file_bytes)
            return sounds[0] if whole else None
    tfhd, trun = content[b"tfhd"], content[b"trun"]
    tfhd_flags, flags = int.from_bytes(tfhd[1:4], "big"), int.from_bytes(trun[1:4], "big")
    at = 8 + 8 * bool(tfhd_flags & 0x1) + 4 * bool(tfhd_flags & 0x2)
    default_duration = struct.unpack_from(">I", tfhd, at)[0] if tfhd_flags & 0x8 else 0
    default_size = struct.unpack_from(">I", tfhd, at + 4 * bool(tfhd_flags & 0x8))[0] if tfhd_flags & 0x10 else None

    (count,) = struct.unpack_from(">I", trun, 4)
    at = 8 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)
    fields = [bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
    stride = 4 * sum(fields)
    if not 0 < count <= _MAX_FRAMES or at + count * stride > len(trun):
        raise ValueError(f"it has a fragment of {count} frames")
    durations = _column(trun, at, stride, count) if fields[0] else [default_duration] * count
    if fields[1]:
        sizes = _column(trun, at + 4 * fields[0], stride, count)
    else:
        sizes = [] if default_size is None else [default_size] * count
    offsets = (
        [one - (one >> 31 << 32) for one in _column(trun, at + 4 * sum(fields[:3]), stride, count)] if fields[3] else []
    )
    size_bytes = sum(map(sum, (sizes, *(one.sizes for one in sounds)))) if sizes else None
    first = struct.unpack_from(">i", trun, 8)[0] if flags & 0x1 else None
    if not _ends_whole(file, moof, size_bytes, first, file_bytes):
        return None

    length = sum(durations)
    decoded = [0, *itertools.accumulate(durations[:-1])]
    elapsed = [one + offset - offsets[0] for one, offset in zip(decoded, offsets, strict=True)] if offsets else decoded
    too_long = length * US_PER_SECOND > _LONGEST_FRAGMENT_US * timescale
    if too_long or decoded[-1] * US_PER_SECOND > _LATEST_FRAME_US * timescale:
        raise ValueError("it has a fragment that is too long")
    decode_base = _decode_base(content.get(b"tfdt"))
    mdat = read_box(file, moof.end, file_bytes)
    assert mdat is not None
    return FragmentClaim(
        captured_us=_captured_us(file, time),
        base=None if decode_base is None else decode_base + (offsets[0] if offsets else 0),
        decode_base=decode_base,
        elapsed=tuple(elapsed),
        length=length,
        keyframes=tuple(_sync_samples(tfhd, trun, count)),
        begin_byte=moof.begin if time is None else time.begin,
        body_byte=mdat.body,
        end_byte=mdat.end,
        sizes=tuple(sizes),
        decoded=tuple(decoded) if any(offsets) else (),
        sounds=tuple(sounds),
    )


def _track_of(traf: Mapping[bytes, bytes]) -> int:
    number: int = struct.unpack_from(">I", traf[b"tfhd"], 4)[0]
    return number


def _column(trun: bytes, at: int, stride: int, count: int) -> list[int]:
    """Numbers of 32 bits in a table of them, one of each row. It is all there."""
    rows = stride // 4
    return list(struct.unpack_from(f">{(count - 1) * rows + 1}I", trun, at)[::rows])


def _ends_whole(file: BinaryIO, moof: Box, size_bytes: int | None, offset: int | None, file_bytes: int) -> bool:
    """Whether the frames' bytes are there; False if they are only not written to their end.

    Raises:
        ValueError: sizes and places do not agree.
    """
    if moof.end + 8 > file_bytes:
        return False
    file.seek(moof.end)
    size, kind = struct.unpack(">I4s", file.read(8))
    header_bytes = 8
    if size == 1:
        (size,) = struct.unpack(">Q", file.read(8))
        header_bytes = 16
    if kind != b"mdat" or (size_bytes is not None and size != header_bytes + size_bytes):
        raise ValueError("the frames do not fill their place")
    if offset is not None and offset != moof.end - moof.begin + header_bytes:
        raise ValueError("the frames are not behind their header")
    return bool(moof.end + size <= file_bytes)


def _decode_base(tfdt: bytes | None) -> int | None:
    if tfdt is None:
        return None
    base: int = struct.unpack_from(">Q" if tfdt[0] else ">I", tfdt, 4)[0]
    return base


def _captured_us(file: BinaryIO, time: Box | None) -> int | None:
    """The time of a `prft`; None if there is none that can be read."""
    if time is None or time.kind != b"prft":
        return None
    try:
        return _ntp_us(read_body(file, time))
    except DAMAGE:
        return None


def _ntp_us(prft: bytes) -> int:
    ntp: int = struct.unpack_from(">Q", prft, 8)[0]
    seconds = (ntp >> 32) - _NTP_TO_UNIX_S
    if seconds < 0:  # nothing is recorded before 1970: this is NTP's second era, which starts in February 2036
        seconds += 1 << 32
    return seconds * US_PER_SECOND + round((ntp & 0xFFFFFFFF) * US_PER_SECOND / (1 << 32))


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
        return [n for n, one in enumerate(_column(trun, at, stride, count)) if not one & _NON_SYNC]
    first = struct.unpack_from(">I", trun, at)[0] if flags & 0x4 else default if has_default else 0
    rest = range(1, count) if not default & _NON_SYNC else ()
    return [*([] if first & _NON_SYNC else [0]), *rest]
