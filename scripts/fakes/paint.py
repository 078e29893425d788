"""Images with their capture time painted in, and how to read it back.

A recording can be checked by its paint: every frame carries its capture time, so a clip can be compared with what the
camera delivered, frame by frame. The image also has the time as text, for a person.

The paint is a grid of black and white squares of 16 x 16 pixels, row by row from the top left corner over the full
width: 56 bits of capture time (microseconds since 1970), 24 bits of frame counter, 8 bits of CRC. A square is a
macroblock of H.264, so it keeps its mean brightness even at a low bit rate.
"""

import functools
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from viam.media.viam_rgba import RGBA_MAGIC_NUMBER
from viam.media.video import CameraMimeType

SQUARE = 16
_BEHIND_TEXT = (20, 20, 20)


TIME_BITS, COUNTER_BITS, CRC_BITS = 56, 24, 8


PAINT_BITS = TIME_BITS + COUNTER_BITS + CRC_BITS


# An image without paint passes an 8-bit CRC once in 256 times. With the time limits as well it passes once in some
# thousands.
_EARLIEST_US = int(datetime(2020, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000


_LATEST_US = int(datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000


@dataclass(frozen=True)
class PaintedFrame:
    """The paint of one frame: capture time in microseconds since 1970, and the frame counter."""

    captured_us: int
    counter: int


def paint(
    captured_us: int,
    counter: int,
    *,
    width: int = 640,
    height: int = 360,
    mime: str = CameraMimeType.JPEG,
    label: str = "",
    gray: bool = False,
) -> bytes:
    """Paint one frame and encode it as JPEG, PNG or raw Viam RGBA. `captured_us` is in microseconds since 1970.

    A `gray` JPEG or PNG has only brightness. Raises ValueError if the paint does not fit, or for another `mime`.
    """
    image = _background(width, height).copy()
    _paint_moving(image, captured_us)
    _paint_text(image, captured_us, counter, label)
    image.paste(_squares(captured_us, counter, width))
    return _encode(image.convert("L") if gray else image, mime)


def read_paint(gray: NDArray[Any], painted: tuple[int, int] | None = None) -> PaintedFrame | None:
    """Read the paint from an image's brightness (rows x columns, 0 to 255 or 16 to 235). None if it is not legible.

    `painted` is the (width, height) at which a scaled frame was painted. If its proportions differ, it has bars.
    """
    height, width = gray.shape
    try:
        rows, columns = _sample_points(width, height, painted or (width, height))
    except ValueError:
        return None
    means = gray[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))
    value = int.from_bytes(numpy.packbits(means > 128).tobytes(), "big")
    body, crc = value >> CRC_BITS, value & 0xFF
    captured_us, counter = body >> COUNTER_BITS, body & ((1 << COUNTER_BITS) - 1)
    if crc != _crc8(body) or not _EARLIEST_US <= captured_us < _LATEST_US:
        return None
    return PaintedFrame(captured_us, counter)


def _squares(captured_us: int, counter: int, width: int) -> Image.Image:
    body = captured_us << COUNTER_BITS | counter & ((1 << COUNTER_BITS) - 1)
    value = body << CRC_BITS | _crc8(body)
    bits = numpy.unpackbits(numpy.frombuffer(value.to_bytes(PAINT_BITS // 8, "big"), numpy.uint8))
    per_row = width // SQUARE
    cells = numpy.zeros((-(-PAINT_BITS // per_row), per_row), numpy.uint8)
    cells.flat[:PAINT_BITS] = bits * 255
    return Image.fromarray(cells.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1))


@functools.lru_cache(maxsize=16)
def _sample_points(
    width: int, height: int, painted: tuple[int, int]
) -> tuple[NDArray[numpy.intp], NDArray[numpy.intp]]:
    """Rows and columns of 5 x 5 points around the centre of each square, in an image of this size."""
    per_row = painted[0] // SQUARE
    scale = min(width / painted[0], height / painted[1])
    if not per_row or SQUARE * scale < 5 or -(-PAINT_BITS // per_row) * SQUARE > painted[1]:
        raise ValueError(f"a frame of {width}x{height} cannot carry the paint")
    margin_x, margin_y = (width - painted[0] * scale) / 2, (height - painted[1] * scale) / 2
    cells = numpy.arange(PAINT_BITS)
    offsets = numpy.arange(-2, 3) * scale
    centre_x = margin_x + (cells % per_row * SQUARE + SQUARE / 2) * scale
    centre_y = margin_y + (cells // per_row * SQUARE + SQUARE / 2) * scale
    return (
        (centre_y[:, None] + offsets).astype(numpy.intp),
        (centre_x[:, None] + offsets).astype(numpy.intp),
    )


def _crc8(body: int) -> int:
    """CRC-8 (polynomial 0x07) of the 80 bits before it. It starts at 0xff, so that an all-black grid is invalid."""
    crc = 0xFF
    for byte in body.to_bytes((TIME_BITS + COUNTER_BITS) // 8, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


@functools.lru_cache(maxsize=8)
def _background(width: int, height: int) -> Image.Image:
    """A still image with gradients, waves and a little noise, as work for the encoder. Drawn once per frame size."""
    _sample_points(width, height, (width, height))
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    waves = 18 * numpy.sin(x / 9) * numpy.cos(y / 13)
    noise = numpy.random.default_rng(0).integers(-5, 6, (height, width))
    red = 70 + 90 * x / width + waves + noise
    green = 60 + 110 * y / height + noise
    blue = 140 - 70 * x / width + waves + noise
    return Image.fromarray(numpy.dstack((red, green, blue)).clip(0, 255).astype(numpy.uint8))


@functools.lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _paint_moving(image: Image.Image, captured_us: int) -> None:
    """A ball that crosses the lower part of the image once in four seconds."""
    radius = image.height // 12
    x = int(captured_us % 4_000_000 / 4_000_000 * (image.width + 2 * radius)) - radius
    y = image.height - 2 * radius
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(240, 200, 40))


def _paint_text(image: Image.Image, captured_us: int, counter: int, label: str) -> None:
    seconds, fraction_us = divmod(captured_us, 1_000_000)
    local = datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
    size = max(10, min(image.height // 8, image.width // 14))
    top = image.height // 2 - size // 2
    ImageDraw.Draw(image).rectangle((0, top - size // 4, image.width, top + 2 * size + size // 4), fill=_BEHIND_TEXT)
    _write(image, (size // 2, top), [local, *f".{fraction_us // 1000:03d}"], size, 255)
    _write(image, (size // 2, top + size + size // 4), [f"{label} #", *str(counter)], size // 2, 180)


def _write(image: Image.Image, at: tuple[int, int], pieces: Iterable[str], size: int, brightness: int) -> None:
    left, top = at
    for piece in pieces:
        written = _written(piece, size, brightness)
        image.paste(written, (left, top))
        left += written.width


@functools.lru_cache(maxsize=256)
def _written(text: str, size: int, brightness: int) -> Image.Image:
    """A piece of text. Drawing it took most of the painting: what stays the same in the next frames is drawn once."""
    font = _font(size)
    written = Image.new("RGB", (round(font.getlength(text)), round(size * 1.2)), _BEHIND_TEXT)
    ImageDraw.Draw(written).text((0, 0), text, fill=(brightness,) * 3, font=font)
    return written


def _encode(image: Image.Image, mime: str) -> bytes:
    if mime == CameraMimeType.VIAM_RGBA:
        header = RGBA_MAGIC_NUMBER + image.width.to_bytes(4, "big") + image.height.to_bytes(4, "big")
        return header + image.convert("RGBA").tobytes()
    buffer = io.BytesIO()
    if mime == CameraMimeType.JPEG:
        image.save(buffer, "JPEG", quality=85)
    elif mime == CameraMimeType.PNG:
        image.save(buffer, "PNG", compress_level=1)
    else:
        raise ValueError(f"{mime!r} cannot be painted. Use image/jpeg, image/png or image/vnd.viam.rgba.")
    return buffer.getvalue()
