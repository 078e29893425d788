"""Reads an image's codec and size from its bytes, and checks that it is complete."""

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
"""Some cameras pad a JPEG after its end to a block of this size."""
_MAX_SIDE = 16384
"""Most pixels in a row or a column."""


class BadPictureError(ValueError):
    """The bytes are not a complete image of a supported format."""


def picture_packet(data: bytes, captured_us: int | None = None) -> Packet:
    """A packet with a JPEG, PNG or `image/vnd.viam.rgba` image.

    Args:
        data: The complete image.
        captured_us: Its capture time in microseconds, UTC; None: now.

    Raises:
        BadPictureError: the data is empty, truncated, or in another format.
    """
    format, coded = read_picture(data)
    return Packet(format, coded, time.time_ns() // 1000 if captured_us is None else captured_us)


def read_picture(data: bytes) -> tuple[StreamFormat, bytes]:
    """Return the format of a JPEG, PNG or `image/vnd.viam.rgba` image, and the bytes for its decoder.

    The format is read from the bytes: the MIME types of some cameras are wrong.

    Raises:
        BadPictureError: the data is empty, truncated, or in another format.
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
            raise BadPictureError(f"{len(data)} bytes of raw RGBA, which are not {width}x{height} pixels")
        return StreamFormat("rawvideo", width, height), data[RGBA_HEADER.size :]
    if not data:
        raise BadPictureError("no bytes")
    raise BadPictureError(f"{len(data)} bytes that are not a JPEG, PNG or raw RGBA image")


def _size(data: bytes) -> tuple[int, int]:
    try:
        width, height = imagesize.get(io.BytesIO(data))
    except (ValueError, struct.error, IndexError, TypeError) as error:
        raise BadPictureError(f"{len(data)} bytes whose header cannot be read") from error
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise BadPictureError(f"{len(data)} bytes without a valid image size")
    return int(width), int(height)
