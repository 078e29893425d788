"""First frames: the times of a reordered segment as browsers need them.

Most players in browsers put the time at which the first frame of a file is decoded (`tfdt`) where the playlist dates
that file. ffmpeg says that it is decoded some frames before it is shown, so that all frames would be shown too late.
Browsers get the same bytes with the first frame decoded when it is shown, and with it all others so much later. When
each one is shown stays the same.

A segment with sound stays as it is. Its sound would come before its video in each piece, and what plays by itself in
Chromium, and hls.js, put what comes first where the playlist dates the video.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

from videostore.media.boxes import DAMAGE, first_leaves, leaves, read_body, read_box, track_leaves, track_positions
from videostore.web.one_clock import Written

_BROWSERS = ("Chrome/", "Firefox/")
"""How browsers name themselves in which players play these. WebKit on Linux needs the times of the file."""

_WIDE = 1
"""The version of a box whose times have 64 bits."""
_SIGNED = 1
"""The version of a `trun` whose frames may be shown before they are decoded."""
_MOST_READ = 8
"""Boxes before the header of a file, or its first fragment: there are one or two."""


class _Run(NamedTuple):
    """How the frames of a `trun` are laid out."""

    begin: int
    stride: int
    frames: int

    @property
    def places(self) -> range:
        """Where it says of each frame how long after its decoding it is shown: the last thing that is said of each."""
        return range(self.begin + self.stride - 4, self.begin + self.stride * self.frames, self.stride)


def needs_first(player: str) -> bool:
    """Whether one that names itself so in its `User-Agent` needs these times."""
    return player.startswith("Mozilla/") and any(name in player for name in _BROWSERS)


def first_shown_after(file: BinaryIO, size_bytes: int, header_bytes: int) -> int:
    """How long after its decoding the first frame of a segment is shown, in units of its file. Blocking.

    0 if no frame is reordered, there is sound, or that cannot be read.
    """
    try:
        trun = first_leaves(_first_body(file, b"moof", header_bytes, size_bytes))[b"trun"]
        after = _order(trun, _run(trun).places[0])
        if after > 0 and len(track_leaves(_first_body(file, b"moov", 0, header_bytes))) == 1:
            return after
    except DAMAGE:
        pass
    return 0


def _first_body(file: BinaryIO, kind: bytes, at: int, end: int) -> bytes:
    """Raises:
    ValueError: there is none.
    """
    for _ in range(_MOST_READ):
        box = read_box(file, at, end)
        if box is None:
            break
        if box.kind == kind:
            return read_body(file, box)
        at = box.end
    raise ValueError("a box is missing")


def times_from_first(file: BinaryIO, size_bytes: int, first: int, last: int, later: int) -> list[Written]:
    """What to write over the bytes of a segment from `first` to `last`, so that each frame is decoded so much later,
    and shown when it was. Blocking.

    What cannot be read stays as it is.
    """
    found: list[Written] = []
    at = 0
    try:
        while at < last and (box := read_box(file, at, size_bytes)):
            if box.kind == b"moof" and box.end > first:
                body = read_body(file, box)
                tracks = track_positions(body)
                if sum(kind == b"trun" for kind, _ in leaves(body)) == len(tracks):
                    found += [(box.body + place, new) for place, new in _later(tracks[0], later)]
            at = box.end
    except DAMAGE:
        return []
    return found


def _later(track: dict[bytes, tuple[int, bytes]], by: int) -> list[Written]:
    (time_at, tfdt), (run_at, trun) = track[b"tfdt"], track[b"trun"]
    if tfdt[0] != _WIDE:
        return []
    run = bytearray(trun)
    run[0] = _SIGNED
    for place in _run(trun).places:
        struct.pack_into(">i", run, place, _order(trun, place) - by)
    time = int.from_bytes(tfdt[4:12], "big") + by
    return [(time_at + 4, struct.pack(">Q", time)), (run_at, bytes(run))]


def _run(trun: bytes) -> _Run:
    """Raises:
    ValueError: it does not say when its frames are shown.
    """
    flags = int.from_bytes(trun[1:4], "big")
    begin = 8 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)
    stride = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    (count,) = struct.unpack_from(">I", trun, 4)
    if not flags & 0x800 or count < 1 or begin + count * stride > len(trun):
        raise ValueError("its frames are shown when they are decoded")
    return _Run(begin, stride, count)


def _order(trun: bytes, place: int) -> int:
    (value,) = struct.unpack_from(">i", trun, place)
    return int(value)
