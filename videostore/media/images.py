"""Reads an image's codec and size from its bytes, and checks that it is complete."""

from __future__ import annotations

import struct
import time

from videostore.media import jpeg, png
from videostore.media.bad_picture import BadPictureError as BadPictureError
from videostore.media.exif import UPRIGHT
from videostore.media.packet import Packet, StreamFormat

RGBA_MAGIC = b"RGBA"
RGBA_HEADER = struct.Struct(">4sII")
_BEFORE_IMAGE = b"\x00\r\n\t "
"""What some senders put before an image: padding, or the line break of a multipart stream."""
_MAX_BEFORE = 1024
_MAX_SIDE = 16384
"""Most pixels in a row or a column."""


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
    """Return the format of a JPEG, PNG or `image/vnd.viam.rgba` image, and the bytes for its decoder. Blocking.

    The format is read from the bytes: the MIME types of some cameras are wrong. Padding around the image is left out.

    Raises:
        BadPictureError: the data is empty, truncated, without image data, or in another format.
    """
    if data[:1] in (b"\x00", b"\r", b"\n", b"\t", b" "):
        data = data[:_MAX_BEFORE].lstrip(_BEFORE_IMAGE) + data[_MAX_BEFORE:]
    if data.startswith(jpeg.START):
        jpeg_header = jpeg.read_jpeg(data)
        format = _format("mjpeg", jpeg_header.width, jpeg_header.height, jpeg_header.orientation, data)
        return format, data[jpeg_header.start : jpeg_header.end]
    if data.startswith(png.SIGNATURE):
        png_header = png.read_png(data)
        format = _format("png", png_header.width, png_header.height, png_header.orientation, data)
        return format, data[: png_header.end]
    if data[:4] == RGBA_MAGIC and len(data) > RGBA_HEADER.size:
        _, width, height = RGBA_HEADER.unpack_from(data)
        if len(data) - RGBA_HEADER.size != width * height * 4 or not width or not height:
            raise BadPictureError(f"{len(data)} bytes of raw RGBA, which are not {width}x{height} pixels")
        return _format("rawvideo", width, height, UPRIGHT, data), data[RGBA_HEADER.size :]
    if not data:
        raise BadPictureError("no bytes")
    raise BadPictureError(f"{len(data)} bytes that are not a JPEG, PNG or raw RGBA image")


def _format(codec: str, width: int, height: int, orientation: int, data: bytes) -> StreamFormat:
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise BadPictureError(f"{len(data)} bytes without a valid image size")
    return StreamFormat(codec, width, height, orientation=orientation)
