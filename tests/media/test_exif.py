from __future__ import annotations

import io
import struct
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from videostore.media.exif import read_orientation, with_capture_time


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """The least EXIF data that says this."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, 1)
    value = struct.pack(f"{order}HH", orientation, 0)
    return head + struct.pack(f"{order}HHI", 0x0112, kind, 1) + value + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_in_either_byte_order(orientation: int, order: str) -> None:
    assert read_orientation(exif(orientation, order)) == orientation


def test_it_is_found_among_other_entries() -> None:
    data = Image.Exif()
    data[0x010F], data[0x0110], data[0x0112] = "maker", "model", 8
    assert read_orientation(data.tobytes().removeprefix(b"Exif\0\0")) == 8


@pytest.mark.parametrize("data", [b"", b"II*\0", exif(0), exif(9), exif(6, kind=4), exif(6)[:12], b"?" * 40])
def test_without_a_valid_orientation_it_is_upright(data: bytes) -> None:
    assert read_orientation(data) == 1


@given(st.sampled_from([b"", b"II*\0", b"MM\0*"]), st.binary(max_size=100))
def test_any_bytes_have_an_orientation(head: bytes, tail: bytes) -> None:
    assert 1 <= read_orientation(head + tail) <= 8


@pytest.mark.parametrize("captured_us", [0, 1_725_000_000_123_457, 4_102_444_800_000_000])
def test_a_capture_time_is_written_to_the_microsecond(captured_us: int) -> None:
    plain = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(plain, "JPEG")
    dated = with_capture_time(plain.getvalue(), captured_us)
    assert dated[:2] + dated[4 + int.from_bytes(dated[4:6], "big") :] == plain.getvalue()
    image = Image.open(io.BytesIO(dated))
    image.load()
    tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
    assert tags[ExifTags.Base.OffsetTimeOriginal] == "+00:00"
    told = f"{tags[ExifTags.Base.DateTimeOriginal]}.{tags[ExifTags.Base.SubsecTimeOriginal]}"
    captured = datetime.strptime(told, "%Y:%m:%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)
    assert captured == datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=captured_us)
