from __future__ import annotations

import struct

import pytest

from videostore.media.media_header import stated_length_us, timescale_of


def mdhd(timescale: int, length: int, version: int = 0) -> bytes:
    form = ">IQQIQHH" if version else ">IIIIIHH"
    return struct.pack(form, version << 24, 0, 0, timescale, length, 0, 0)


def test_the_length_is_read_in_the_unit_of_the_track() -> None:
    assert timescale_of(mdhd(90_000, 1)) == timescale_of(mdhd(90_000, 1, version=1)) == 90_000
    assert stated_length_us(mdhd(90_000, 135_000)) == 1_500_000
    assert stated_length_us(mdhd(3, 1)) == 333_333


def test_a_header_may_state_no_length() -> None:
    assert stated_length_us(mdhd(90_000, 0)) is None
    assert stated_length_us(mdhd(90_000, 135_000, version=1)) is None


@pytest.mark.parametrize("data", [b"", bytes(8), mdhd(0, 5)], ids=["empty", "cut off", "no timescale"])
def test_a_damaged_header_is_refused(data: bytes) -> None:
    for read in (timescale_of, stated_length_us):
        with pytest.raises((ValueError, struct.error, IndexError)):
            if read(data) is None:
                raise ValueError
