"""The header of a NUT stream, in which how far frames are reordered can be set. PyAV only writes what it has read."""

from __future__ import annotations

_STREAM = b"NS\x11\x40\x5b\xf2\xf9\xdb"
"""The start code of a stream's header."""
_POLYNOMIAL = 0x04C11DB7
_LONGEST_PLAIN = 4096
"""A longer packet has a checksum of its own header."""


def with_decode_delay(data: bytes, reordered: int) -> bytes:
    """The bytes of a NUT muxer with another `decode_delay` in the first stream's header that is among them.

    Raises:
        ValueError: there is none.
    """
    begin = data.find(_STREAM)
    if begin < 0 or not 0 <= reordered < 0x80:
        raise ValueError("it has no header of a stream")
    length, at = _number(data, begin + len(_STREAM))
    if length > _LONGEST_PLAIN:
        at += 4
    end = at + length
    body = bytearray(data[at : end - 4])
    place = 0
    for _ in ("stream_id", "stream_class"):
        place = _number(body, place)[1]
    tag_bytes, place = _number(body, place)
    place += tag_bytes
    for _ in ("time_base_id", "msb_pts_shift", "max_pts_distance"):
        place = _number(body, place)[1]
    if body[place] >= 0x80:
        raise ValueError("it is reordered too far")
    body[place] = reordered
    return data[:at] + bytes(body) + checksum(body) + data[end:]


def _number(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def checksum(data: bytes | bytearray) -> bytes:
    """What NUT puts behind the bytes of a header."""
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ _CHECKSUMS[value >> 24 ^ byte]
    return value.to_bytes(4, "big")


def _checksum_of(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1 ^ (_POLYNOMIAL if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


_CHECKSUMS = [_checksum_of(byte) for byte in range(256)]
