"""What a picture's bytes say of themselves: its codec and size, and whether it is whole."""

from __future__ import annotations

import io
import struct
import time

import imagesize

from videostore.media.packet import Packet, StreamFormat

RGBA_MAGIC = b"RGBA"
RGBA_HEADER = struct.Struct(">4sII")
_JPEG_END = b"\xff\xd9"
_JPEG_PADDING = 4096
"""Some cameras pad a JPEG to a block of this size behind its end."""
_MAX_SIDE = 16384


class BadPictureError(ValueError):
    """The bytes are no whole picture of a kind that can be recorded."""


def picture_packet(data: bytes, captured_us: int | None = None) -> Packet:
    """A packet of a whole JPEG, PNG or `image/vnd.viam.rgba` picture, captured at that moment (UTC); None: right now.

    Raises:
        BadPictureError: the data is empty, truncated or of another kind.
    """
    format, coded = read_picture(data)
    return Packet(format, coded, time.time_ns() // 1000 if captured_us is None else captured_us)


def read_picture(data: bytes) -> tuple[StreamFormat, bytes]:
    """Return the format of a JPEG, PNG or `image/vnd.viam.rgba` picture, and the bytes that a decoder takes.

    The bytes decide, not the MIME type, which cameras are known to get wrong.

    Raises:
        BadPictureError: the data is empty, truncated or of another kind.
    """
    if data[:2] == b"\xff\xd8":
        if data.rfind(_JPEG_END, max(2, len(data) - _JPEG_PADDING)) < 0:
            raise BadPictureError(f"a JPEG of {len(data)} bytes without an end")
        return StreamFormat("mjpeg", *_size(data)), data
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        if b"IEND" not in data[-64:]:
            raise BadPictureError(f"a PNG of {len(data)} bytes without an end")
        return StreamFormat("png", *_size(data)), data
    if data[:4] == RGBA_MAGIC and len(data) > RGBA_HEADER.size:
        _, width, height = RGBA_HEADER.unpack_from(data)
        if len(data) - RGBA_HEADER.size != width * height * 4 or not width or not height:
            raise BadPictureError(f"{len(data)} bytes of raw RGBA do not make {width}x{height} pixels")
        return StreamFormat("rawvideo", width, height), data[RGBA_HEADER.size :]
    if not data:
        raise BadPictureError("no bytes")
    raise BadPictureError(f"{len(data)} bytes that are neither JPEG, PNG nor raw RGBA")


def _size(data: bytes) -> tuple[int, int]:
    try:
        width, height = imagesize.get(io.BytesIO(data))
    except (ValueError, struct.error, IndexError, TypeError) as error:
        raise BadPictureError(f"{len(data)} bytes whose header cannot be read") from error
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise BadPictureError(f"{len(data)} bytes that do not tell the picture's size")
    return int(width), int(height)
