"""Joins fragmented MP4 files that come one after the other as bytes into one, while they come."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from videostore.media.boxes import DAMAGE, MAX_HEADER_BYTES, leaf_positions, track_leaves, track_positions
from videostore.media.media_header import timescale_of
from videostore.media.sound_track import number_of_track

_HEADER_BYTES = 8
_LARGE_HEADER_BYTES = 16
_INDEX = b"moov"
_HEADERS = (b"ftyp", _INDEX)
_FRAMES = b"mdat"
_FRAGMENT = b"moof"
_SEQUENCE_AT = 4
"""Where the number of a fragment is in `mfhd` (ISO/IEC 14496-12, 8.8.5), and its time in `tfdt` (8.8.12)."""
_TRACK_AT = 4
"""Where the number of a track is in `tfhd` (8.8.7)."""


class FragmentJoiner:
    """Gives the first file's header and the fragments of all, numbered through. Holds at most one header in memory.

    The files must have the same tracks, time units, and times that go on: the time of the first fragment's first track
    is taken off all of them, so that the whole begins at 0.
    """

    def __init__(self) -> None:
        self.fragments = 0
        """How many have come so far."""
        self._files = 0
        self._buffer = bytearray()
        self._frames_bytes = 0
        self._begin: tuple[int, int] | None = None
        """Where the whole begins, in a unit of time, and how many of them a second has."""
        self._scales: dict[int, int] = {}
        """Units of time in a second, of each track."""

    def next_file(self) -> None:
        """The bytes that follow are those of another file.

        Raises:
            ValueError: the one before is not complete.
        """
        if self._buffer or self._frames_bytes:
            raise ValueError("a part of a stream ends within a box")
        self._files += 1

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of a file. Returns the next bytes of the whole; none if a header is not complete yet.

        Raises:
            ValueError: it is not a fragmented MP4.
        """
        made, view = [], memoryview(data)
        while view:
            if self._frames_bytes:
                block = view[: self._frames_bytes]
                self._frames_bytes -= len(block)
                made.append(bytes(block))
                view = view[len(block) :]
                continue
            missing = self._missing_bytes()
            self._buffer += view[:missing]
            view = view[missing:]
            if not self._missing_bytes():
                made.append(self._box())
        return b"".join(made)

    def _missing_bytes(self) -> int:
        """How many bytes the box that has begun lacks, of those that are read at once."""
        have = len(self._buffer)
        if have < _HEADER_BYTES:
            return _HEADER_BYTES - have
        size, kind = struct.unpack_from(">I4s", self._buffer)
        if size == 1 and have < _LARGE_HEADER_BYTES:
            return _LARGE_HEADER_BYTES - have
        if kind == _FRAMES:
            return 0
        if not _HEADER_BYTES <= size <= MAX_HEADER_BYTES:
            raise ValueError(f"a part of a stream has a box of {size} bytes")
        return int(size) - have

    def _box(self) -> bytes:
        box = bytes(self._buffer)
        self._buffer.clear()
        size, kind = struct.unpack_from(">I4s", box)
        if kind == _FRAMES:
            self._frames_bytes = (struct.unpack_from(">Q", box, 8)[0] if size == 1 else size) - len(box)
            if self._frames_bytes < 0:
                raise ValueError("a part of a stream has a box that ends before it begins")
            return box
        if kind == _FRAGMENT:
            return self._numbered(bytearray(box))
        if kind not in _HEADERS or self._files != 1:
            return b""
        if kind == _INDEX:
            self._read_index(box)
        return box

    def _read_index(self, moov: bytes) -> None:
        try:
            tracks = track_leaves(moov[_HEADER_BYTES:])
            self._scales = {number_of_track(one[b"tkhd"]): timescale_of(one[b"mdhd"]) for one in tracks}
        except DAMAGE as error:
            raise ValueError("a part of a stream has a header that cannot be read") from error

    def _numbered(self, moof: bytearray) -> bytes:
        """A fragment's header with its number and its times in the whole."""
        self.fragments += 1
        try:
            content = bytes(moof[_HEADER_BYTES:])
            number_at = _HEADER_BYTES + leaf_positions(content)[b"mfhd"][0] + _SEQUENCE_AT
            struct.pack_into(">I", moof, number_at, self.fragments & 0xFFFFFFFF)
            tracks = track_positions(content)
            for track in tracks or [{}]:
                self._move(moof, track)
        except DAMAGE as error:
            raise ValueError("a part of a stream has a fragment without a time") from error
        return bytes(moof)

    def _move(self, moof: bytearray, track: Mapping[bytes, tuple[int, bytes]]) -> None:
        """Count the time of a track in a fragment from the beginning of the whole."""
        time_at, content = track[b"tfdt"]
        time_at += _HEADER_BYTES + _SEQUENCE_AT
        form = ">Q" if content[0] else ">I"
        (time,) = struct.unpack_from(form, moof, time_at)
        scale = self._scales[struct.unpack_from(">I", track[b"tfhd"][1], _TRACK_AT)[0]]
        begin, unit = self._begin = self._begin or (time, scale)
        struct.pack_into(form, moof, time_at, time - (begin * scale + unit // 2) // unit)
