"""EXIF data of images: reads the orientation, and writes the capture time."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

UPRIGHT = 1
"""The orientation of an image whose rows and columns are as they are shown."""

_ORIENTATION = 0x0112
_EXIF_DIRECTORY = 0x8769
_EXIF_VERSION = 0x9000
_DATE_TIME_ORIGINAL = 0x9003
_OFFSET_TIME_ORIGINAL = 0x9011
_SUB_SEC_TIME_ORIGINAL = 0x9291
_ASCII, _SHORT, _LONG, _UNDEFINED = 2, 3, 4, 7
_APP1 = 0xFFE1
_HEADER_BYTES = 8
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


def with_capture_time(jpeg: bytes, captured_us: int) -> bytes:
    """A JPEG with EXIF data that say when it was captured, to the microsecond, in UTC. It must have none yet."""
    captured = datetime(1970, 1, 1) + timedelta(microseconds=captured_us)
    texts = {
        _DATE_TIME_ORIGINAL: captured.strftime("%Y:%m:%d %H:%M:%S"),
        _OFFSET_TIME_ORIGINAL: "+00:00",
        _SUB_SEC_TIME_ORIGINAL: f"{captured.microsecond:06d}",
    }
    fields = [(_EXIF_VERSION, _UNDEFINED, b"0232")]
    fields += [(tag, _ASCII, text.encode() + b"\0") for tag, text in texts.items()]
    pointed_at = _HEADER_BYTES + _directory_bytes(1)
    tiff = struct.pack(">2sHI", b"MM", 42, _HEADER_BYTES)
    tiff += _directory([(_EXIF_DIRECTORY, _LONG, struct.pack(">I", pointed_at))], _HEADER_BYTES)
    body = b"Exif\0\0" + tiff + _directory(fields, pointed_at)
    return jpeg[:2] + struct.pack(">HH", _APP1, len(body) + 2) + body + jpeg[2:]


def _directory_bytes(entries: int) -> int:
    return 2 + entries * _ENTRY_BYTES + 4


def _directory(fields: list[tuple[int, int, bytes]], begin: int) -> bytes:
    """A directory that begins at a position, and the values that do not fit into it."""
    entries, values = b"", b""
    values_at = begin + _directory_bytes(len(fields))
    for tag, kind, value in sorted(fields):
        count = 1 if kind == _LONG else len(value)
        entries += struct.pack(">HHI", tag, kind, count)
        if len(value) <= 4:
            entries += value.ljust(4, b"\0")
        else:
            entries += struct.pack(">I", values_at + len(values))
            values += value + b"\0" * (len(value) % 2)
    return struct.pack(">H", len(fields)) + entries + struct.pack(">I", 0) + values
