from __future__ import annotations

import io
import time

import pytest
from PIL import Image

from tests.support.damaged_images import END, ODD, progressive, recoded, scan_at, turned, without_scan
from tests.support.recording import SIZE, START_US, picture
from videostore.media.jpeg import JpegHeader, read_jpeg


def with_thumbnail(time_us: int) -> bytes:
    """With a whole JPEG in its EXIF data, as cameras write it."""
    small = io.BytesIO()
    Image.new("RGB", (64, 48)).save(small, "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0" + small.getvalue()
    data = picture(time_us)
    return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]


def with_lying_exif(time_us: int) -> bytes:
    """EXIF says another size than the frame header."""
    exif = Image.Exif()
    exif[0x0100], exif[0x0101], exif[0xA002], exif[0xA003] = 4000, 3000, 4000, 3000
    return recoded(time_us, exif=exif)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_decoders_pass_over_is_passed_over(odd: object) -> None:
    data = odd(START_US)  # type: ignore[operator]
    header = read_jpeg(data)
    assert (header.width, header.height, header.orientation) == (*SIZE, 1)
    assert data[header.start : header.start + 3] == b"\xff\xd8\xff"
    assert data[header.end - 2 : header.end] == END


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x00\xff", b"\r\n", b"\xff\xd8\xff\xe1"])
@pytest.mark.parametrize("count", [1, 5000, 70_000])
def test_any_padding_behind_the_end_is_left_out(fill: bytes, count: int) -> None:
    data = picture(START_US)
    assert read_jpeg(data + fill * count) == JpegHeader(*SIZE, 1, 0, len(data))


def test_fill_bytes_before_a_marker_are_passed_over() -> None:
    data = picture(START_US)
    at = data.index(b"\xff\xda")
    assert read_jpeg(data[:at] + b"\xff" * 100 + data[at:-2] + b"\xff" * 9 + END).width == SIZE[0]


def test_a_second_image_behind_the_first_is_left_out() -> None:
    data = picture(START_US)
    assert read_jpeg(data + picture(START_US + 1, (160, 144))) == JpegHeader(*SIZE, 1, 0, len(data))


def test_the_size_is_that_of_the_frame_header() -> None:
    for data in (with_lying_exif(START_US), turned(START_US, 6), with_thumbnail(START_US)):
        header = read_jpeg(data)
        assert (header.width, header.height) == SIZE
    assert read_jpeg(turned(START_US, 6)).orientation == 6


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(part: float) -> None:
    data = with_thumbnail(START_US)
    at = data.index(picture(START_US)[2:200])  # where the thumbnail ends
    with pytest.raises(ValueError, match="without an end"):
        read_jpeg(data[: at + int((len(data) - at) * part)])


def test_an_image_that_the_next_one_interrupts_has_no_end() -> None:
    data = picture(START_US)
    with pytest.raises(ValueError, match="without an end"):
        read_jpeg(data[: len(data) // 2] + data)


def test_without_image_data_it_is_refused() -> None:
    empty = picture(START_US)[: scan_at(picture(START_US))] + END
    for data in (without_scan(START_US), empty):
        with pytest.raises(ValueError, match="without image data"):
            read_jpeg(data)


def test_a_progressive_image_without_its_last_scans_is_refused() -> None:
    data = progressive(START_US)
    scans = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    assert len(scans) > 3
    for at in scans[1:]:
        with pytest.raises(ValueError, match="without all of its image data"):
            read_jpeg(data[:at] + END)


@pytest.mark.parametrize("data", [b"\xff\xd8" + b"\xff" * 4_000_000, b"\xff\xd8" + b"\xff\x00" * 2_000_000])
def test_hostile_bytes_are_read_once(data: bytes) -> None:
    """Some seconds would be needed to read them again from each of their places; measured: 0.03 s."""
    started = time.process_time()
    with pytest.raises(ValueError, match="without an end"):
        read_jpeg(data)
    assert time.process_time() - started < 5


def test_what_a_decoder_would_show_with_wrong_levels_is_refused() -> None:
    """Without tables it takes those of another image, or none; it takes 12 bits a sample for 8."""
    data = picture(START_US)
    first = data.index(b"\xff\xdb")
    tables = first + 2 + int.from_bytes(data[first + 2 : first + 4], "big")
    with pytest.raises(ValueError, match="without its quantisation tables"):
        read_jpeg(data[:first] + data[tables:])
    frame = data.index(b"\xff\xc0")
    with pytest.raises(ValueError, match="12 bits a sample"):
        read_jpeg(data[:frame] + b"\xff\xc1" + data[frame + 2 : frame + 4] + b"\x0c" + data[frame + 5 :])
