"""The mark of a coded frame that came damaged: a unit of user data in the frame itself.

It is a SEI message (ITU-T H.264, D.1.7; H.265, D.2.7), which decoders skip. So it is stored, copied into clips and kept
by a kill together with the frame. A frame is marked from the first damaged one to the next keyframe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_UUID = bytes.fromhex("5d7b1f4e93c84a6fb2d16e35c7a8f019")
_TEXT = re.compile(rb"videostore damaged since=(\d{1,18}) reason=([a-z-]{1,32})")
_USER_DATA = 5
_HEADERS = {"h264": b"\x06", "hevc": b"\x4e\x01"}
_STOP_BIT = b"\x80"
_START = b"\0\0\0\1"
_LONGEST_UNIT = 160
"""No unit with a mark has more bytes."""


@dataclass(frozen=True, slots=True)
class DamageMark:
    """What a damaged frame says of itself."""

    since_us: int
    """Capture time from which on frames may be damaged, in microseconds UTC: of this frame or of an earlier one."""
    reason: str
    """Why: see `DAMAGE_REASONS`."""


def mark_unit(codec: str, mark: DamageMark) -> bytes:
    """The unit that says it, without a start code."""
    message = _UUID + f"videostore damaged since={mark.since_us} reason={mark.reason}".encode()
    return _HEADERS[codec] + bytes([_USER_DATA, len(message)]) + message + _STOP_BIT


def parse_mark(codec: str, unit: bytes) -> DamageMark | None:
    """What a unit says; None if it is no mark."""
    header = _HEADERS.get(codec)
    if header is None or not unit.startswith(header) or len(unit) > _LONGEST_UNIT:
        return None
    message = unit[len(header) + 2 :]
    found = _TEXT.match(message, len(_UUID)) if message.startswith(_UUID) else None
    return DamageMark(int(found[1]), found[2].decode()) if found else None


def with_mark(codec: str, frame: bytes, mark: DamageMark) -> bytes:
    """A frame in Annex B with a mark before its first slice. Frames of other codecs stay as they are."""
    if codec not in _HEADERS:
        return frame
    at = frame.find(_START[1:])
    while at >= 0:
        first = frame[at + 3 : at + 4]
        if first and is_slice(codec, first[0]):
            at -= at > 0 and frame[at - 1] == 0
            return frame[:at] + _START + mark_unit(codec, mark) + frame[at:]
        at = frame.find(_START[1:], at + 3)
    return frame + _START + mark_unit(codec, mark)  # it has no slice at all


def is_slice(codec: str, first: int) -> bool:
    """Whether a unit that begins with this byte holds a part of a picture."""
    return 1 <= first & 0x1F <= 5 if codec == "h264" else first >> 1 & 0x3F < 32
