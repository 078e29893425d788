"""Reads the orientation of an image from its EXIF data."""

from __future__ import annotations

import struct

UPRIGHT = 1
"""The orientation of an image whose rows and columns are as they are shown."""

_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
_MAX_ENTRIES = 1000
"""Real EXIF data has some dozens."""


def read_orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, that EXIF data says (a TIFF header and what follows it); 1 if it says none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + min(count, _MAX_ENTRIES) * _ENTRY_BYTES, _ENTRY_BYTES):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else UPRIGHT
    except struct.error:  # it is cut or damaged; the image is not
        pass
    return UPRIGHT
