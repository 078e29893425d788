"""The sound in one of our segments: what its boxes tell about its packets, and when they were captured.

ffmpeg starts the times of each track at 0, so that the file does not tell how long after the first frame the sound
begins. That is less than one packet of it, because a segment begins with the first sound behind its first frame, unless
the camera sent none for a while. When a segment is closed, `place_sound` writes what the recorder knows about it.
"""

from __future__ import annotations

import itertools
import os
import statistics
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.media.boxes import read_body, read_box, track_positions
from videostore.media.media_header import LENGTH_AT, stated_length_us, timescale_of

_MOST_PACKETS = 100_000
_LARGEST = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """How a file describes its sound."""

    number: int
    """The track's number in the file."""
    timescale: int
    """Units of its times in a second."""
    entry: bytes
    """The sample entry: equal entries are the same format."""
    placed: bool
    """Whether its times are those of the video. Otherwise it begins at 0."""


@dataclass(frozen=True, slots=True)
class SoundClaim:
    """Sound in one fragment, as its boxes tell."""

    base: int
    """When its first packet begins, in the unit of the track."""
    elapsed: tuple[int, ...]
    """When each packet begins, since the first one."""
    length: int
    sizes: tuple[int, ...]
    begin_byte: int
    """Where its packets lie in the file, one behind the other."""


@dataclass(frozen=True, slots=True)
class SoundStretch:
    """Packets of sound that lie behind one another in a file."""

    times_us: tuple[int, ...]
    """When each packet begins, in microseconds UTC."""
    sizes: tuple[int, ...]
    begin_byte: int

    @property
    def size_bytes(self) -> int:
        """Bytes of all packets."""
        return sum(self.sizes)


def describe_sound(tracks: Sequence[Mapping[bytes, bytes]]) -> SoundTrack | None:
    """The sound of a file with these tracks, of which the first one is the video; None without.

    Raises:
        ValueError, or another error of `DAMAGE`: it is damaged.
    """
    for track in tracks[1:]:
        if track[b"hdlr"][8:12] == b"soun":
            mdhd = track[b"mdhd"]
            return SoundTrack(
                number_of_track(track[b"tkhd"]), timescale_of(mdhd), track[b"stsd"], stated_length_us(mdhd) is not None
            )
    return None


def number_of_track(tkhd: bytes) -> int:
    """The number of a track (8.3.2)."""
    number: int = struct.unpack_from(">I", tkhd, 20 if tkhd[0] else 12)[0]
    return number


def read_sound(traf: Mapping[bytes, bytes], moof_begin: int) -> SoundClaim:
    """The sound of a fragment.

    Raises:
        ValueError, or another error of `DAMAGE`: it is damaged.
    """
    tfhd, trun, tfdt = traf[b"tfhd"], traf[b"trun"], traf[b"tfdt"]
    tfhd_flags, flags = int.from_bytes(tfhd[1:4], "big"), int.from_bytes(trun[1:4], "big")
    at = 8 + 8 * bool(tfhd_flags & 0x1) + 4 * bool(tfhd_flags & 0x2)
    duration = struct.unpack_from(">I", tfhd, at)[0] if tfhd_flags & 0x8 else 0
    size = struct.unpack_from(">I", tfhd, at + 4 * bool(tfhd_flags & 0x8))[0] if tfhd_flags & 0x10 else 0
    count, offset = struct.unpack_from(">Ii", trun, 4)
    at = 12 + 4 * bool(flags & 0x4)
    stride = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    if not flags & 0x1 or not 0 < count <= _MOST_PACKETS or at + count * stride > len(trun):
        raise ValueError(f"it has a fragment with {count} packets of sound")
    durations = [duration] * count
    if flags & 0x100:
        durations = [struct.unpack_from(">I", trun, at + n * stride)[0] for n in range(count)]
    sizes = [size] * count
    if flags & 0x200:
        first = at + 4 * bool(flags & 0x100)
        sizes = [struct.unpack_from(">I", trun, first + n * stride)[0] for n in range(count)]
    base: int = struct.unpack_from(">Q" if tfdt[0] else ">I", tfdt, 4)[0]
    elapsed = (0, *itertools.accumulate(durations[:-1]))
    return SoundClaim(base, elapsed, sum(durations), tuple(sizes), moof_begin + offset)


def packet_length(stretches: Sequence[SoundStretch]) -> int:
    """How long a packet usually is, in microseconds; 0 if that is not known."""
    for one in stretches:
        if len(one.times_us) > 2:
            return round(statistics.median(b - a for a, b in itertools.pairwise(one.times_us)))
    return 0


def date_sound(claim: SoundClaim, timescale: int, zero_us: int) -> SoundStretch:
    """When the packets of a fragment were captured. `zero_us` is the time of 0 in the file."""
    times_us = tuple(zero_us + (claim.base + one) * US_PER_SECOND // timescale for one in claim.elapsed)
    return SoundStretch(times_us, claim.sizes, claim.begin_byte)


def shifted(stretch: SoundStretch, delay_us: int) -> SoundStretch:
    """The same sound, captured later."""
    return replace(stretch, times_us=tuple(one + delay_us for one in stretch.times_us))


def place_sound(path: Path, track: SoundTrack, delay_us: int) -> None:
    """Move the sound of a file of ours, which begins at 0, to the time at which it was captured. Blocking.

    A few bytes of each fragment are replaced, and none moves. The header comes last: it says that it is done.

    Raises:
        ValueError, or another error of `DAMAGE`: a header is damaged.
        OSError: the file cannot be read or written.
    """
    delay = (delay_us * track.timescale + US_PER_SECOND // 2) // US_PER_SECOND
    header: tuple[int, bytes] | None = None
    length = 0
    with path.open("r+b", buffering=0) as file:
        begin, file_bytes = 0, os.fstat(file.fileno()).st_size
        while (box := read_box(file, begin, file_bytes)) is not None:
            begin = box.end
            if box.kind not in (b"moov", b"moof"):
                continue
            tracks = track_positions(read_body(file, box))
            if box.kind == b"moov":
                header = next(one[b"mdhd"] for one in tracks[1:] if one[b"hdlr"][1][8:12] == b"soun")
                header = box.body + header[0], header[1]
                continue
            for one in tracks:
                if struct.unpack_from(">I", one[b"tfhd"][1], 4)[0] != track.number:
                    continue
                at, tfdt = one[b"tfdt"]
                form = ">Q" if tfdt[0] else ">I"
                base = struct.unpack_from(form, tfdt, 4)[0] + delay
                os.pwrite(file.fileno(), struct.pack(form, base), box.body + at + 4)
                length = base + 1
        if header is not None and not header[1][0] and 0 < length <= _LARGEST:
            os.pwrite(file.fileno(), struct.pack(">I", length), header[0] + LENGTH_AT)
