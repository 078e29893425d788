"""The check of coded pictures: what is missing is found by their headers, and nothing is found where all came."""

from __future__ import annotations

import pytest

from tests.support.amount import each_value, some
from tests.support.coded_stream import CodedPicture, Coding, code
from videostore.media.h26x import parameter_sets
from videostore.media.picture_check import INCOMPLETE, MISSING, PictureCheck

CODINGS = [
    Coding("h264"),
    Coding("h264", gop_s=10),
    Coding("h264", b_frames=3),
    Coding("h264", gop_s=2, slices=4, b_frames=2),
    Coding("hevc"),
    Coding("hevc", b_frames=3, ten_bit=True),
]


def faults(codec: str, pictures: list[CodedPicture]) -> list[str]:
    check = PictureCheck(codec, parameter_sets(codec, pictures[0].data))
    return [check.fault(one.data, keyframe=one.keyframe) for one in pictures]


def without_slice(picture: CodedPicture, number: int) -> CodedPicture:
    """The picture as it is when one of its slices does not come."""
    units = picture.data.split(b"\0\0\1")
    slices = [at for at, one in enumerate(units) if one and one[0] & 0x1F in (1, 5)]
    del units[slices[number]]
    return CodedPicture(b"\0\0\1".join(units), picture.shown, picture.keyframe)


@some("coding", CODINGS, 3)
def test_nothing_is_wrong_with_pictures_that_came_whole(coding: Coding) -> None:
    pictures = code(coding)
    assert set(faults(coding.codec, [*pictures, *pictures])) == {""}


@some("coding", CODINGS[2::-1], 2)
def test_a_reference_that_did_not_come_is_noticed_with_the_next_picture(coding: Coding) -> None:
    pictures = code(coding)
    lost = next(n for n in range(100, 120) if not pictures[n].keyframe and _is_reference(pictures[n]))
    assert not pictures[lost + 1].keyframe
    found = faults(coding.codec, [*pictures[:lost], *pictures[lost + 1 :]])
    assert [number for number, fault in enumerate(found) if fault] == [lost]
    assert found[lost] == MISSING


def test_a_picture_that_no_other_needs_may_be_missing() -> None:
    pictures = code(Coding("h264", b_frames=3))
    lost = next(n for n in range(100, 120) if not _is_reference(pictures[n]))
    assert set(faults("h264", [*pictures[:lost], *pictures[lost + 1 :]])) == {""}


@each_value(number=range(4), place=[60, 73])
def test_each_slice_that_did_not_come_is_noticed(place: int, number: int) -> None:
    pictures = code(Coding("h264", gop_s=1, slices=4))[: place + 20]
    assert pictures[place].keyframe is (place == 60)
    pictures[place] = without_slice(pictures[place], number)
    found = faults("h264", pictures)
    assert [at for at, fault in enumerate(found) if fault] == [place]
    assert found[place] == INCOMPLETE


def test_the_halves_of_two_pictures_are_no_picture() -> None:
    pictures = code(Coding("h264", slices=4))
    one, other = pictures[40], pictures[41]
    for _ in range(2):
        one, other = without_slice(one, -1), without_slice(other, 0)
    merged = CodedPicture(one.data + other.data, one.shown, False)
    found = faults("h264", [*pictures[:40], merged, *pictures[42:]])
    assert found[40] == INCOMPLETE and not any(found[:40])


def test_an_encoder_that_divides_its_pictures_otherwise_is_believed_soon() -> None:
    four, one = code(Coding("h264", slices=4, length_s=10)), code(Coding("h264", length_s=20))
    found = faults("h264", [*four, *one])
    assert not any(found[: len(four)]) and not any(found[-len(one) // 2 :])


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("sets", [b"", b"\0\0\1", b"\0\0\1\x67", b"\0\0\1\x42\x01"])
def test_garbage_is_checked_without_an_error(codec: str, sets: bytes) -> None:
    check = PictureCheck(codec, sets)
    for data in (b"", b"\0\0\1", b"\0\0\1\x41", b"\0\0\1\x02\x01", b"\0\0\1" * 9, b"\0\0\1\x65\x88" + bytes(9)):
        assert check.fault(data, keyframe=True) in ("", INCOMPLETE)


def _is_reference(picture: CodedPicture) -> bool:
    first = next(one[0] for one in picture.data.split(b"\0\0\1") if one and one[0] & 0x1F in (1, 5))
    return bool(first & 0x60)
