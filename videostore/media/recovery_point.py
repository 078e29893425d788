"""Keyframes of H.264 that are none: decoding may begin there, but shows whole pictures only some frames later.

Encoders that refresh the picture bit by bit send no other ones after the first. libav takes them for keyframes.
"""

from __future__ import annotations

from collections.abc import Iterator

from videostore.media.bits import BitReader, unescape

_START = b"\0\0\1"
_FRAMES = range(1, 6)
_SEI = 6
_RECOVERY_POINT = 6
_LONGEST_SEI = 1 << 16


def recovers_later(data: bytes, *, length_bytes: int = 0) -> bool:
    """Whether a keyframe of H.264 says that pictures are whole only after it.

    Its units have start codes, or lengths of `length_bytes` as in an MP4.
    """
    for unit in _units_of(data, length_bytes):
        kind = unit[0] & 0x1F if unit else 0
        if kind in _FRAMES:
            return False
        if kind == _SEI and _frames_to_recovery(unescape(unit[1:_LONGEST_SEI])):
            return True
    return False


def _frames_to_recovery(messages: bytes) -> int:
    """The `recovery_frame_cnt` among the messages of a SEI unit (7.3.2.3.1 and D.1.8); 0 if there is none."""
    at = 0
    while at + 1 < len(messages):
        fields = []
        for _ in ("payloadType", "payloadSize"):
            value = 0
            while at < len(messages) and messages[at] == 0xFF:
                value, at = value + 0xFF, at + 1
            if at >= len(messages):
                return 0
            fields.append(value + messages[at])
            at += 1
        kind, size = fields
        if kind == _RECOVERY_POINT:
            try:
                return BitReader(messages[at : at + size]).unsigned()
            except ValueError:  # it is damaged
                return 0
        at += size
    return 0


def _units_of(data: bytes, length_bytes: int) -> Iterator[bytes]:
    at = 0 if length_bytes else data.find(_START)
    while length_bytes and at + length_bytes < len(data):
        begin = at + length_bytes
        at = begin + int.from_bytes(data[at:begin], "big")
        yield data[begin:at]
    while not length_bytes and at >= 0:
        begin, at = at + len(_START), data.find(_START, at + len(_START))
        yield data[begin : at if at >= 0 else len(data)]
