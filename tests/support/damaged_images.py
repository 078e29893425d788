"""Images as cameras and connections damage them, and some that only look damaged."""

from __future__ import annotations

import io
import random
import re
from typing import Any

from PIL import Image

from tests.support.recording import SIZE, picture

_SCAN = re.compile(rb"\xff\xda..", re.DOTALL)
END = b"\xff\xd9"


def scan_at(data: bytes) -> int:
    """Where the image data of a JPEG begins."""
    found = _SCAN.search(data)
    assert found is not None
    return found.start() + 2 + int.from_bytes(found[0][2:], "big")


def without_scan(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """Header and end, and nothing between them."""
    data = picture(time_us, size)
    return data[: data.index(b"\xff\xda")] + END


def half(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """Cut in its image data; the end is put behind."""
    data = picture(time_us, size)
    return data[: (scan_at(data) + len(data)) // 2] + END


def with_hole(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """A part of the image data is lost."""
    data = picture(time_us, size)
    middle = (scan_at(data) + len(data)) // 2
    return data[:middle] + data[middle + 400 :]


def zeroed(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """The second half of the image data is zeros."""
    data = picture(time_us, size)
    middle = (scan_at(data) + len(data)) // 2
    return data[:middle] + bytes(len(data) - middle - 2) + END


def arithmetic(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """Says that it is coded arithmetically, which ffmpeg does not have."""
    return picture(time_us, size).replace(b"\xff\xc0\x00\x11", b"\xff\xc9\x00\x11", 1)


DAMAGED = {"half": half, "hole": with_hole, "zeros": zeroed, "arithmetic": arithmetic}
"""Damage that only a decoder can see."""


def recoded(time_us: int, size: tuple[int, int] = SIZE, kind: str = "JPEG", **options: Any) -> bytes:
    """The same image, written with other options of Pillow."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(picture(time_us, size))) as image:
        image.save(out, kind, **({"quality": 90} | options if kind == "JPEG" else options))
    return out.getvalue()


def half_png(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """A PNG that was cut; the end is put behind."""
    data = recoded(time_us, size, "PNG")
    return data[: len(data) // 2] + data[-12:]


def turned(time_us: int, orientation: int, size: tuple[int, int] = SIZE, kind: str = "JPEG") -> bytes:
    """As a camera sends it that was mounted on its side: EXIF says how to turn it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return recoded(time_us, size, kind, exif=exif)


def junk_before_end(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """Stray bytes before the end, which cameras send and decoders pass over."""
    dice = random.Random(time_us)
    return picture(time_us, size)[:-2] + bytes(dice.randrange(255) for _ in range(1 + dice.randrange(20))) + END


def twice_started(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """With a second start marker before it."""
    return b"\xff\xd8" + picture(time_us, size)


def padded(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """With zeros behind it, as boards with a fixed size of transfer send it."""
    return picture(time_us, size) + bytes(70_000)


def progressive(time_us: int, size: tuple[int, int] = SIZE) -> bytes:
    """In several scans."""
    return recoded(time_us, size, progressive=True)


ODD = {"junk": junk_before_end, "two starts": twice_started, "padding": padded, "progressive": progressive}
"""What looks odd and is whole."""
