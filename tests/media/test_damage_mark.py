"""Marks of damaged frames: they are found again, and no decoder minds them."""

from __future__ import annotations

from typing import Any

import av
import pytest

from tests.support.coding import coded_packets
from tests.support.recording import START_US, capture_times
from videostore.media.damage_mark import DamageMark, is_slice, mark_unit, parse_mark, with_mark
from videostore.media.packet import Packet

MARK = DamageMark(START_US, "packets-lost")


def decoded(packets: list[Packet]) -> list[bytes]:
    context: Any = av.CodecContext.create(packets[0].format.codec, "r")
    frames = [frame for one in packets for frame in context.decode(av.Packet(one.data))] + list(context.decode(None))
    return [frame.to_ndarray().tobytes() for frame in frames]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_marked_frame_decodes_to_the_same_picture(codec: str) -> None:
    packets = coded_packets(capture_times(2), codec, gop=5)
    with_marks = [Packet(one.format, with_mark(codec, one.data, MARK), one.captured_us) for one in packets]
    assert all(len(one.data) > len(other.data) for one, other in zip(with_marks, packets, strict=True))
    assert decoded(with_marks) == decoded(packets)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_mark_is_read_as_it_was_written(codec: str) -> None:
    unit = mark_unit(codec, MARK)
    assert parse_mark(codec, unit) == MARK
    for other in (b"", unit[:-30], unit[:5], unit.replace(b"since", b"sinse"), unit[:4] + b"x" + unit[5:], b"x" * 300):
        assert parse_mark(codec, other) is None
    assert parse_mark("mjpeg", unit) is None


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_mark_is_the_last_unit_before_the_picture(codec: str) -> None:
    keyframe = coded_packets(capture_times(0.1), codec, gop=5)[0].data
    units = [one.rstrip(b"\0") for one in keyframe.split(b"\0\0\1") if one.strip(b"\0")]
    marked = [one.rstrip(b"\0") for one in with_mark(codec, keyframe, MARK).split(b"\0\0\1") if one.strip(b"\0")]
    assert [one for one in marked if parse_mark(codec, one) is None] == units
    first = next(number for number, one in enumerate(marked) if is_slice(codec, one[0]))
    assert parse_mark(codec, marked[first - 1]) == MARK


def test_images_and_frames_without_a_picture_are_kept() -> None:
    assert with_mark("mjpeg", b"image", MARK) == b"image"
    assert with_mark("h264", b"\0\0\1\x09\xf0", MARK).startswith(b"\0\0\1\x09\xf0")
