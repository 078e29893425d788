"""One clock: the media times of all segments of a recording as one player needs them.

Each segment counts from 0. Browsers begin again at a discontinuity. ffmpeg, on which most other players are built, does
not: it drops the fragments that are earlier than what came before, so that a second of each segment is missing. VLC
begins again, but gives up the last second before. GStreamer takes over the times of the first file alone. They get the
same bytes with each time counted from 1970 instead.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from videostore.base.constants import US_PER_SECOND
from videostore.media.boxes import DAMAGE, read_body, read_box, track_leaves, track_positions

PLAYERS = ("Lavf/", "libmpv", "mpv", "VLC/", "GStreamer ")
"""How those players name themselves."""

Written = tuple[int, bytes]
"""Where in a file other bytes stand instead, and which."""
_WIDE = 1
"""The version of a box whose times have 64 bits."""


def times_on_one_clock(file: BinaryIO, size_bytes: int, first: int, last: int, start_us: int) -> list[Written]:
    """What to write over the bytes of a segment from `first` to `last`; it starts at `start_us`. Blocking.

    What cannot be read stays as it is.
    """
    try:
        return [(at, struct.pack(">Q", time)) for at, time in _times(file, size_bytes, first, last, start_us)]
    except DAMAGE:
        return []


def read_written(file: BinaryIO, first: int, last: int, written: Sequence[Written]) -> bytes:
    """The bytes of a file from `first` to `last`, with what is written over them. Blocking.

    There are fewer if the file has become shorter.
    """
    file.seek(first)
    data = bytearray(file.read(last - first))
    for at, new in written:
        begin, end = max(at, first), min(at + len(new), first + len(data))
        if begin < end:
            data[begin - first : end - first] = new[begin - at : end - at]
    return bytes(data)


def _times(file: BinaryIO, size_bytes: int, first: int, last: int, start_us: int) -> list[tuple[int, int]]:
    """Where the time of each track in each fragment between two bytes is, and what it becomes."""
    scales: dict[int, int] = {}
    found = []
    at = 0
    while at < last and (box := read_box(file, at, size_bytes)):
        if box.kind == b"moov":
            for track in track_leaves(read_body(file, box)):
                tkhd, mdhd = track[b"tkhd"], track[b"mdhd"]
                number = int.from_bytes(_after_dates(tkhd), "big")
                scales[number] = int.from_bytes(_after_dates(mdhd), "big")
        elif box.kind == b"moof" and box.end > first:
            for fragment in track_positions(read_body(file, box)):
                place, tfdt = fragment[b"tfdt"]
                scale = scales[int.from_bytes(fragment[b"tfhd"][1][4:8], "big")]
                if tfdt[0] == _WIDE:
                    time = int.from_bytes(tfdt[4:12], "big") + start_us * scale // US_PER_SECOND
                    found.append((box.body + place + 4, time))
        at = box.end
    return found


def _after_dates(body: bytes) -> bytes:
    """The number of four bytes behind the dates of a header."""
    at = 20 if body[0] == _WIDE else 12
    return body[at : at + 4]
