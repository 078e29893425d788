from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostore.media.split_picture import rest_of_picture

# The first bit behind the header of a slice says whether a picture begins with it.
_H264_SETS, _H264_FIRST, _H264_REST = b"\x67sps", b"\x65\x88first", b"\x65\x48rest"
_HEVC_SETS, _HEVC_FIRST, _HEVC_REST = b"\x42\x01sps", b"\x26\x01\xafirst", b"\x26\x01\x2frest"


def annex_b(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


@pytest.mark.parametrize(
    ("codec", "sets", "first", "rest"),
    [("h264", _H264_SETS, _H264_FIRST, _H264_REST), ("hevc", _HEVC_SETS, _HEVC_FIRST, _HEVC_REST)],
)
def test_the_slices_of_a_picture_that_began_before_are_found_without_the_sets_before_them(
    codec: str, sets: bytes, first: bytes, rest: bytes
) -> None:
    found = rest_of_picture(codec, annex_b(sets, rest, rest))
    assert found is not None and found.lstrip(b"\0") == annex_b(rest, rest).lstrip(b"\0")
    assert rest_of_picture(codec, annex_b(sets, first, rest)) is None
    assert rest_of_picture(codec, annex_b(sets)) is None
    assert rest_of_picture(codec, annex_b(sets, rest[:1])) is None


@given(codec=st.sampled_from(["h264", "hevc"]), data=st.binary(max_size=200), starts=st.integers(0, 5))
def test_any_bytes_can_be_read(codec: str, data: bytes, starts: int) -> None:
    found = rest_of_picture(codec, b"\0\0\1" * starts + data)
    assert found is None or found.startswith(b"\0\0\1")
