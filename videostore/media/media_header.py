"""The media header of a track (`mdhd`, ISO/IEC 14496-12, 8.4.2): the unit of its times, and how long it is."""

from __future__ import annotations

import struct

from videostore.base.constants import US_PER_SECOND

LENGTH_AT = 16
"""Where the length is in the content of version 0, in 32 bits."""


def timescale_of(mdhd: bytes) -> int:
    """Units in a second.

    Raises:
        ValueError, struct.error, IndexError: the box is damaged.
    """
    scale: int = struct.unpack_from(">I", mdhd, 20 if mdhd[0] else 12)[0]
    if not scale:
        raise ValueError("a media header has no timescale")
    return scale


def stated_length_us(mdhd: bytes) -> int | None:
    """The length in microseconds; None if none is stated, as in a fragmented file of ffmpeg, or not by version 0.

    Raises:
        ValueError, struct.error, IndexError: the box is damaged.
    """
    length: int = 0 if mdhd[0] else struct.unpack_from(">I", mdhd, LENGTH_AT)[0]
    return length * US_PER_SECOND // timescale_of(mdhd) if length else None
