"""How the frames of a file are to be shown: the shape of a pixel, and the meaning of its values."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from videostore.media.boxes import VISUAL_ENTRY_BYTES

_NAMED_COLOURS = (b"nclx", b"nclc")
_UNKNOWN = 2
_KNOWN = 64
"""Entries that are remembered: a recording has few. The segments of a long range then share one value."""
_MOST = 1 << 16
"""Largest side of a pixel that is believed: a player reads it as a number of 32 bits, and multiplies it with a size."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a clip has only one of: parts that differ in it are re-encoded."""

    pixel_shape: Fraction = Fraction(1)
    """Width of a pixel divided by its height."""
    colours: tuple[int, int, int, bool] | None = None
    """Primaries, transfer and matrix, by the numbers of ISO/IEC 23091-2, and whether the range is full. None: the file
    does not say."""

    @classmethod
    @functools.lru_cache(maxsize=_KNOWN)
    def of_entry(cls, entry: bytes) -> Look:
        """Read the sample entry of an MP4's track, such as `avc1`, with its header."""
        pixel_shape, colours = Fraction(1), None
        for kind, body in _boxes(entry, VISUAL_ENTRY_BYTES):
            if kind == b"pasp" and len(body) >= 8:
                pixel_shape = _shape(*struct.unpack_from(">II", body))
            elif kind == b"colr" and body[:4] in _NAMED_COLOURS and len(body) >= 10:
                full = body[:4] == b"nclx" and len(body) > 10 and bool(body[10] & 0x80)
                colours = (*struct.unpack_from(">HHH", body, 4), full)
        return cls(pixel_shape, colours)

    @classmethod
    def of_stream(cls, stream: Any) -> Look:
        """Read a video stream of PyAV."""
        shape, context = stream.sample_aspect_ratio or Fraction(1), stream.codec_context
        named = (context.color_primaries, context.color_trc, context.colorspace)
        full = context.color_range == 2
        known = full or any(value != _UNKNOWN for value in named)
        return cls(_shape(shape.numerator, shape.denominator), (*named, full) if known else None)


def _shape(width: int, height: int) -> Fraction:
    return Fraction(width, height) if 0 < width <= _MOST and 0 < height <= _MOST else Fraction(1)


def _boxes(data: bytes, begin: int) -> Iterator[tuple[bytes, bytes]]:
    while begin + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, begin)
        if size < 8 or begin + size > len(data):
            return
        yield kind, data[begin + 8 : begin + size]
        begin += size
