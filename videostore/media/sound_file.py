"""Writes coded sound as an MP4 of its own: packets that follow one another without a gap."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from videostore.media.sound import box

_TRACK = 1
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def header_of(entry: bytes, rate: int, length: int, sizes: Sequence[int], chunks: Iterable[tuple[int, int]]) -> bytes:
    """The `moov` of such a file.

    `entry` is the sample entry, `length` that of each packet in samples. Each chunk tells where it begins in the file,
    and how many packets it has.
    """
    chunks = list(chunks)
    whole = length * len(sizes)
    offsets, runs = array("Q", (at for at, _ in chunks)), array("I")
    for number, (_, count) in enumerate(chunks, 1):
        if not runs or runs[-2] != count:
            runs.extend((number, count, 1))
    tables = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        box(b"stts", struct.pack(">IIII", 0, 1, len(sizes), length)),
        box(b"stsc", struct.pack(">II", 0, len(runs) // 3), _big_endian(runs)),
        box(b"stsz", struct.pack(">III", 0, 0, len(sizes)), _big_endian(array("I", sizes))),
        box(b"co64", struct.pack(">II", 0, len(offsets)), _big_endian(offsets)),
    )
    own_data = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", b"\0\0\0\1")))
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IQQIQHH", 1 << 24, 0, 0, rate, whole, 0x55C4, 0)),
        box(b"hdlr", struct.pack(">II4s12xx", 0, 0, b"soun")),
        box(b"minf", box(b"smhd", bytes(8)), own_data, tables),
    )
    track = struct.pack(">IQQIIQ8xHHHH", 1 << 24 | 7, 0, 0, _TRACK, 0, whole, 0, 1, 0x100, 0) + _MATRIX + bytes(8)
    movie = struct.pack(">IQQIQIH10x", 1 << 24, 0, 0, rate, whole, 0x10000, 0x100) + _MATRIX
    return box(
        b"moov",
        box(b"mvhd", movie + bytes(24) + struct.pack(">I", _TRACK + 1)),
        box(b"trak", box(b"tkhd", track), media),
    )


def whole_file(entry: bytes, rate: int, length: int, packets: Sequence[bytes]) -> bytes:
    """A small file of sound as bytes."""
    begin = box(b"ftyp", b"isom", bytes(4), b"isom")
    data = box(b"mdat", *packets)
    at = len(begin) + len(data) - sum(map(len, packets))
    return begin + data + header_of(entry, rate, length, [len(one) for one in packets], [(at, len(packets))])


class SoundFile:
    """A file of sound while it is written. Blocking."""

    def __init__(self, path: Path, entry: bytes, rate: int, length: int) -> None:
        """`length` is that of each packet in samples."""
        self._file: BinaryIO = path.open("wb")
        self._format = entry, rate, length
        self._sizes: array[int] = array("I")
        self._chunks: list[tuple[int, int]] = []
        self._begin = self._file.write(box(b"ftyp", b"isom", bytes(4), b"isom"))
        self._file.write(struct.pack(">I4sQ", 1, b"mdat", 0))

    @property
    def count(self) -> int:
        """How many packets it has."""
        return len(self._sizes)

    def add(self, data: bytes, sizes: Sequence[int]) -> None:
        """Add packets that lie behind one another in `data`."""
        if sizes:
            self._chunks.append((self._file.tell(), len(sizes)))
            self._sizes.extend(sizes)
            self._file.write(data)

    def close(self) -> None:
        """Write the tables."""
        with self._file as file:
            end = file.tell()
            file.write(header_of(*self._format, self._sizes, self._chunks))
            file.seek(self._begin + 8)
            file.write(struct.pack(">Q", end - self._begin))


def _big_endian(numbers: array[int]) -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
