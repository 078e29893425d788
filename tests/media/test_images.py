from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.recording import SMALL, START_US, picture
from videostore.media.images import RGBA_HEADER, RGBA_MAGIC, BadPictureError, read_picture
from videostore.media.packet import StreamFormat


@pytest.mark.parametrize(
    ("mime", "codec"), [("image/jpeg", "mjpeg"), ("image/png", "png"), ("image/vnd.viam.rgba", "rawvideo")]
)
def test_format_and_size_are_read_from_the_bytes(mime: str, codec: str) -> None:
    format, _ = read_picture(picture(START_US, SMALL, mime))
    assert format == StreamFormat(codec, *SMALL)


def test_jpeg_and_png_are_passed_on_as_they_are_and_raw_pixels_without_their_header() -> None:
    jpeg, raw = picture(START_US, SMALL), picture(START_US, SMALL, "image/vnd.viam.rgba")
    assert read_picture(jpeg)[1] == jpeg
    assert read_picture(raw)[1] == raw[RGBA_HEADER.size :]
    assert len(read_picture(raw)[1]) == SMALL[0] * SMALL[1] * 4


def test_the_size_of_a_progressive_jpeg_is_read() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "JPEG", progressive=True)
    assert read_picture(buffer.getvalue())[0] == StreamFormat("mjpeg", 64, 48)


def test_a_jpeg_with_padding_after_its_end_is_complete() -> None:
    padded = picture(START_US, SMALL) + bytes(1000)
    assert read_picture(padded)[0] == StreamFormat("mjpeg", *SMALL)


@pytest.mark.parametrize("mime", ["image/jpeg", "image/png", "image/vnd.viam.rgba"])
@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_truncated_image_is_refused(mime: str, part: float) -> None:
    whole = picture(START_US, SMALL, mime)
    with pytest.raises(BadPictureError):
        read_picture(whole[: int(len(whole) * part)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(100),
        b"\xff\xd8\xff\xd9",
        b"\x89PNG\r\n\x1a\n" + b"IEND",
        RGBA_HEADER.pack(RGBA_MAGIC, 0, 0) + b"x",
        RGBA_HEADER.pack(RGBA_MAGIC, 2**32 - 1, 2**32 - 1) + b"x",
        RGBA_HEADER.pack(RGBA_MAGIC, 1, 16385) + bytes(4 * 16385),
        RGBA_MAGIC,
    ],
)
def test_bytes_that_are_not_an_image_are_refused(data: bytes) -> None:
    with pytest.raises(BadPictureError):
        read_picture(data)


@given(st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", RGBA_MAGIC]), st.binary(max_size=200))
def test_garbage_is_refused_or_has_a_size(head: bytes, tail: bytes) -> None:
    try:
        format, _ = read_picture(head + tail + (b"\xff\xd9" if head == b"\xff\xd8" else b"IEND"))
    except BadPictureError:
        return
    assert format.width > 0 and format.height > 0
