"""Reads the header of a PNG and checks that it is whole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from videostore.media.bad_picture import BadPictureError
from videostore.media.exif import UPRIGHT, read_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")
_CHECKSUM_BYTES = 4
_HEADER = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced image: first column and row, and the steps to the next."""
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What the bytes of a PNG say."""

    width: int
    height: int
    orientation: int
    """EXIF's, 1 to 8; 1 is upright."""
    end: int
    """Where it ends; what follows is padding."""


def read_png(data: bytes) -> PngHeader:
    """Read the chunks of a PNG and count its pixels: a decoder fills in what is missing. Blocking.

    Raises:
        BadPictureError: it is cut or damaged.
    """
    width, height, raw_bytes = 0, 0, 0
    orientation, parts = UPRIGHT, []
    for kind, chunk, end in _chunks(data):
        if kind == b"IHDR" and len(chunk) == _HEADER.size:
            width, height, depth, colour, _, _, interlaced = _HEADER.unpack(chunk)
            raw_bytes = _raw_bytes(width, height, depth * _CHANNELS.get(colour, 0), bool(interlaced))
        elif kind == b"eXIf":
            orientation = read_orientation(chunk)
        elif kind == b"IDAT":
            parts.append(chunk)
        elif kind == b"IEND":
            if not parts:
                raise BadPictureError(f"a PNG of {len(data)} bytes without image data")
            if not _holds(parts, raw_bytes):
                raise BadPictureError(f"a PNG of {len(data)} bytes without all of its image data")
            return PngHeader(width, height, orientation, end)
    raise BadPictureError(f"a PNG of {len(data)} bytes without an end")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Each chunk's type, content and end, up to one that is cut.

    Raises:
        BadPictureError: a checksum is wrong.
    """
    at = len(SIGNATURE)
    while at + _CHUNK.size + _CHECKSUM_BYTES <= len(data):
        length, kind = _CHUNK.unpack_from(data, at)
        end = at + _CHUNK.size + length + _CHECKSUM_BYTES
        if end > len(data):
            return
        body = memoryview(data)[at + 4 : end - _CHECKSUM_BYTES]
        if zlib.crc32(body) != int.from_bytes(data[end - _CHECKSUM_BYTES : end], "big"):
            raise BadPictureError(f"a PNG of {len(data)} bytes with a wrong checksum")
        yield kind, bytes(body[4:]), end
        at = end


def _raw_bytes(width: int, height: int, bits: int, interlaced: bool) -> int:
    """How many bytes its rows have, each after one that names its filter."""
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    sides = [(-(-(width - x) // step_x), -(-(height - y) // step_y)) for x, y, step_x, step_y in passes]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sides if rows > 0 and columns > 0)


def _holds(parts: list[bytes], raw_bytes: int) -> bool:
    """Whether the compressed image data holds so many bytes. The memory that it takes is bounded."""
    inflating, count = zlib.decompressobj(), 0
    try:
        for part in parts:
            while part and count < raw_bytes:
                count += len(inflating.decompress(part, _BLOCK_BYTES))
                part = inflating.unconsumed_tail
        while count < raw_bytes and (more := inflating.decompress(b"", _BLOCK_BYTES)):
            count += len(more)
    except zlib.error:
        return False
    return count >= raw_bytes > 0
