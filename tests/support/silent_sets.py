"""Parameter sets of H.264 that do not say how far frames are reordered, as those of many cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.support.coded_stream import CodedPicture
from videostore.media.bits import BitReader, escape, unescape

_START = b"\0\0\1"


def silenced(annex_b: bytes) -> bytes:
    """The same picture of x264, whose sequence parameter set ends before its usability information."""
    units = annex_b.split(_START)
    return _START.join(without_usability(one) if one[:1] and one[0] & 0x1F == 7 else one for one in units)


def all_silenced(pictures: Sequence[CodedPicture]) -> list[CodedPicture]:
    """The same of all pictures of a camera."""
    return [replace(one, data=silenced(one.data)) for one in pictures]


def without_usability(unit: bytes) -> bytes:
    """A sequence parameter set of x264 that ends before it."""
    data = unescape(unit)
    reader = BitReader(data, 32)
    reader.unsigned()
    if data[1] == 100:
        for _ in ("chroma_format", "depth", "depth of chroma"):
            reader.unsigned()
        assert not reader.bits(2)  # neither lossless nor scaling lists
    reader.unsigned()
    order = reader.unsigned()
    assert order in (0, 2)
    for _ in range(2 if order == 0 else 1):  # the bits of the order, and the references
        reader.unsigned()
    reader.flag()
    reader.unsigned(), reader.unsigned()
    assert reader.flag()  # progressive
    reader.flag()
    if reader.flag():
        for _ in range(4):
            reader.unsigned()
    bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"[: reader.position] + "01"
    bits += "0" * (-len(bits) % 8)
    return escape(int(bits, 2).to_bytes(len(bits) // 8, "big"))
