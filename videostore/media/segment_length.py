"""Writes into a segment how long it is until the first frame of the next one.

ffmpeg states no length in the header of a fragmented file, and how long its last frame lasts is a guess. In what the Go
module or ffmpeg's concat demuxer puts together, each segment moves what follows by the error of that guess: by 283 ms
at 3 frames a second. Nothing of ours takes the time of a frame from what is written here.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import US_PER_SECOND
from videostore.media.boxes import DAMAGE, leaf_positions, read_body, read_box
from videostore.media.fragmented_file import FragmentedFile
from videostore.media.media_header import LENGTH_AT, timescale_of

_LARGEST = 0xFFFFFFFF


def write_length(path: Path, content: FragmentedFile, until_us: int) -> bool:
    """State in the header of a closed file of ours that it lasts until a time, and shorten its last frame if that would
    last longer. A few bytes are replaced and none moves. Blocking.

    Returns:
        Whether something was replaced: not if the file states it already, if a header is damaged, or if it has no place
        for so large a number.

    Raises:
        OSError: the file cannot be read or written.
    """
    with path.open("r+b", buffering=0) as file:
        try:
            writes = _writes(file, content, until_us)
        except DAMAGE:
            return False
        changed = False
        for at, number in writes:
            stated = struct.pack(">I", number)
            if os.pread(file.fileno(), 4, at) != stated:  # a file that does not change need not be synced again
                os.pwrite(file.fileno(), stated, at)
                changed = True
        return changed


def _writes(file: BinaryIO, content: FragmentedFile, until_us: int) -> list[tuple[int, int]]:
    """Positions in the file, and the numbers of 32 bits that belong there."""
    at, mdhd = _box(file, b"moov", 0)[b"mdhd"]
    timescale = timescale_of(mdhd)

    def ticks(length_us: int) -> int:
        return (length_us * timescale + US_PER_SECOND // 2) // US_PER_SECOND

    last = content.fragments[-1]
    length, lasts = ticks(until_us - content.start_us), ticks(until_us - content.times_us[-1])
    if mdhd[0] or lasts <= 0 or length > _LARGEST:  # another version has other places
        return []
    writes = [(at + LENGTH_AT, length)]
    if content.is_reordered:  # durations lie between the times of decoding
        return writes
    place = _place_of_last_duration(_box(file, b"moof", last.begin_byte))
    if place is not None:
        file.seek(place)
        if struct.unpack(">I", file.read(4))[0] > lasts:
            writes.append((place, lasts))
    return writes


def _box(file: BinaryIO, kind: bytes, begin: int) -> dict[bytes, tuple[int, bytes]]:
    """The boxes inside the first box of a kind from a position on: where the content of each is in the file."""
    file_bytes = os.fstat(file.fileno()).st_size
    while (box := read_box(file, begin, file_bytes)) is not None:
        if box.kind == kind:
            return {name: (box.body + at, body) for name, (at, body) in leaf_positions(read_body(file, box)).items()}
        begin = box.end
    raise KeyError(kind)


def _place_of_last_duration(moof: dict[bytes, tuple[int, bytes]]) -> int | None:
    """Where the duration of a fragment's last frame is; None if it shares one with others (8.8.7, 8.8.8)."""
    (trun_at, trun), (tfhd_at, tfhd) = moof[b"trun"], moof[b"tfhd"]
    tfhd_flags, flags = int.from_bytes(tfhd[1:4], "big"), int.from_bytes(trun[1:4], "big")
    count: int = struct.unpack_from(">I", trun, 4)[0]
    if flags & 0x100:
        stride = sum(4 for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit)
        return trun_at + 8 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4) + (count - 1) * stride
    if tfhd_flags & 0x8 and count == 1:
        return tfhd_at + 8 + 8 * bool(tfhd_flags & 0x1) + 4 * bool(tfhd_flags & 0x2)
    return None
