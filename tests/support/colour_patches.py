"""Flat patches of known colours, as a camera sends them, and what a picture shows of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

PATCHES = ((0,) * 3, (255,) * 3, (255, 0, 0), (0, 255, 0), (0, 0, 255), (16,) * 3, (235,) * 3, (128,) * 3)
"""The colours, from left to right: those at the ends of the range, and grays that are the ends of the limited range."""
TOLERANCE = 2
"""How far from them a player may show them, of 255."""
SIZE = (1280, 720)


def patches(size: tuple[int, int] = SIZE) -> Image.Image:
    """The picture."""
    width, height = size
    columns = numpy.arange(width) * len(PATCHES) // width
    return Image.fromarray(numpy.broadcast_to(numpy.array(PATCHES, numpy.uint8)[columns], (height, width, 3)).copy())


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    output = io.BytesIO()
    image.save(output, kind, **options)
    return output.getvalue()


def _rgba() -> bytes:
    width, height = SIZE
    return b"RGBA" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + patches().convert("RGBA").tobytes()


def _png_with_standard_colours() -> bytes:
    tags = PngInfo()
    tags.add(b"sRGB", b"\0")
    tags.add(b"gAMA", (45455).to_bytes(4, "big"))
    return _saved(patches(), "PNG", pnginfo=tags)


def _gray16() -> bytes:
    gray = numpy.asarray(patches().convert("L")).astype(numpy.uint16) * 257
    return _saved(Image.fromarray(gray), "PNG")


PICTURES: dict[str, Callable[[], bytes]] = {
    "JPEG 4:2:0": lambda: _saved(patches(), "JPEG", quality=92, subsampling=2),
    "JPEG 4:2:2": lambda: _saved(patches(), "JPEG", quality=92, subsampling=1),
    "JPEG 4:4:4": lambda: _saved(patches(), "JPEG", quality=92, subsampling=0),
    "gray JPEG": lambda: _saved(patches().convert("L"), "JPEG", quality=92),
    "CMYK JPEG": lambda: _saved(patches().convert("CMYK"), "JPEG", quality=92),
    "RGB JPEG": lambda: _saved(patches(), "JPEG", quality=92, keep_rgb=True),
    "PNG": lambda: _saved(patches(), "PNG"),
    "PNG with sRGB and gamma": _png_with_standard_colours,
    "PNG with alpha": lambda: _saved(patches().convert("RGBA"), "PNG"),
    "PNG with palette": lambda: _saved(patches().quantize(16), "PNG"),
    "gray PNG": lambda: _saved(patches().convert("L"), "PNG"),
    "gray PNG with alpha": lambda: _saved(patches().convert("LA"), "PNG"),
    "gray PNG of 16 bits": _gray16,
    "raw RGBA": _rgba,
}
"""What cameras send, by name."""


def expected_patches(name: str) -> list[tuple[int, ...]]:
    """What is to be shown of one of the `PICTURES`: of a gray one, grays."""
    if "gray" not in name:
        return [tuple(colour) for colour in PATCHES]
    return [(int(numpy.asarray(Image.new("RGB", (1, 1), colour).convert("L"))[0, 0]),) * 3 for colour in PATCHES]


def shown_patches(pixels: NDArray[Any]) -> list[tuple[int, ...]]:
    """The colours in the middles of the patches of a picture: rows x columns x RGB or RGBA."""
    height, width = pixels.shape[:2]
    middles = [(2 * number + 1) * width // (2 * len(PATCHES)) for number in range(len(PATCHES))]
    found = [numpy.median(pixels[height // 4 : -height // 4, x - 4 : x + 4, :3], axis=(0, 1)) for x in middles]
    return [tuple(int(value) for value in colour) for colour in found]


def largest_difference(shown: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> int:
    """The largest difference of one value of a colour."""
    return max(abs(a - b) for one, other in zip(shown, expected, strict=True) for a, b in zip(one, other, strict=True))


def frame_patches(frame: Any) -> list[tuple[int, ...]]:
    """The colours of a decoded frame in 8 bits, computed by the matrix of BT.601 in limited range, as players do."""
    planes = [
        numpy.frombuffer(plane, numpy.uint8).reshape(-1, plane.line_size)[:, : plane.width].astype(float)
        for plane in frame.planes
    ]
    y, u, v = ((plane - low) / span for plane, low, span in zip(planes, (16, 128, 128), (219, 224, 224), strict=True))
    u, v = (plane.repeat(2, 0).repeat(2, 1)[: y.shape[0], : y.shape[1]] for plane in (u, v))
    rgb = numpy.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], axis=2)
    return shown_patches((rgb * 255).round().clip(0, 255))
