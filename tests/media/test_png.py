from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.damaged_images import recoded, turned
from tests.support.recording import SIZE, START_US
from videostore.media.png import SIGNATURE, PngHeader, read_png

Chunks = list[tuple[bytes, bytes]]


def chunks_of(data: bytes) -> Chunks:
    at, found = len(SIGNATURE), []
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def png_of(chunks: Chunks) -> bytes:
    """A PNG of these chunks, with right checksums."""
    parts = [
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in chunks
    ]
    return SIGNATURE + b"".join(parts)


@pytest.fixture(scope="module")
def png() -> bytes:
    return recoded(START_US, kind="PNG")


def test_size_and_end_are_read_and_padding_is_left_out(png: bytes) -> None:
    for padding in (b"", bytes(70_000), b"\xff" * 100):
        assert read_png(png + padding) == PngHeader(*SIZE, 1, len(png))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_that_of_its_exif_data(orientation: int) -> None:
    assert read_png(turned(START_US, orientation, kind="PNG")).orientation == orientation


@pytest.mark.parametrize("options", [{"bits": 4}, {"optimize": True}])
def test_other_kinds_of_png_are_read(options: dict[str, Any]) -> None:
    assert read_png(recoded(START_US, kind="PNG", **options)).width == SIZE[0]


def test_the_rows_of_an_interlaced_image_are_counted() -> None:
    """Eight by eight gray pixels in seven passes: 15 rows with a filter byte each, and 64 pixels."""
    header = (8).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 1])
    for count, whole in ((15 + 64, True), (15 + 63, False)):
        data = png_of([(b"IHDR", header), (b"IDAT", zlib.compress(bytes(count))), (b"IEND", b"")])
        if whole:
            assert read_png(data) == PngHeader(8, 8, 1, len(data))
        else:
            with pytest.raises(ValueError, match="without all of its image data"):
                read_png(data)


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 16]) + data[middle + 1 :]


def _shorter(data: bytes) -> bytes:
    return png_of([(kind, body[: len(body) // 2] if kind == b"IDAT" else body) for kind, body in chunks_of(data)])


def _fewer_rows(data: bytes) -> bytes:
    chunks = chunks_of(data)
    rows = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    return png_of([chunks[0], (b"IDAT", zlib.compress(rows[: len(rows) // 2])), (b"IEND", b"")])


def _without_data(data: bytes) -> bytes:
    return png_of([(kind, body) for kind, body in chunks_of(data) if kind != b"IDAT"])


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut": (lambda data: data[:-20], "without an end"),
    "a bit": (_flipped, "with a wrong checksum"),
    "a hole": (lambda data: data[: len(data) // 2] + data[len(data) // 2 + 100 :], "with a wrong checksum|without an"),
    "less data": (_shorter, "without all of its image data"),
    "fewer rows": (_fewer_rows, "without all of its image data"),
    "no data": (_without_data, "without image data"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_not_whole_is_refused(png: bytes, damage: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_png(damage(png))
