from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.damaged_frames import HEADER, LENGTH, SLICE, damage_frame, frame_places
from tests.support.recording import H264, H265, START_US, US, capture_times, record, take_over
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.media.nal_units import damaged_fragments, frames_of, is_intact, length_bytes, split_units, unit_kind

IDR, SEI, SPS = b"\x65\x88idr", b"\x06sei", b"\x67sps"


def units(*content: bytes, lengths: int = 4) -> bytes:
    return b"".join(len(one).to_bytes(lengths, "big") + one for one in content)


@pytest.mark.parametrize("lengths", [1, 2, 4])
def test_a_frame_is_divided_into_its_units(lengths: int) -> None:
    data = units(SEI, IDR, lengths=lengths)
    assert list(split_units(data, lengths)) == [SEI, IDR]
    assert [unit_kind("h264", one) for one in (SEI, IDR)] == [6, 5]
    assert unit_kind("hevc", b"\x26\x01") == 19
    assert is_intact("h264", data, lengths)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        units(SEI),  # no picture
        units(SPS),
        units(IDR)[:-1],
        units(IDR) + b"\0",
        units(b"", IDR),
        units(IDR) + b"\0\0\0\0",
        units(SEI, IDR).replace(b"\0\0\0\x04\x06", b"\0\x40\0\x04\x06"),
        units(b"\xe5\x88idr"),  # the forbidden bit
        units(b"\x60\x88idr"),  # a type that is not specified
        units(b"\x65\x08idr"),  # the beginning of the picture is missing
        units(b"\x65"),
    ],
)
def test_a_frame_whose_units_do_not_fill_it_or_hold_no_picture_is_not_intact(data: bytes) -> None:
    assert not is_intact("h264", data, 4)


def test_only_h264_and_h265_have_lengths() -> None:
    assert length_bytes("h264", b"\1\x64\0\x1f\xff\xe1") == 4
    assert length_bytes("hevc", bytes(21) + b"\xfd") == 2
    assert length_bytes("av1", bytes(50)) is None
    assert length_bytes("h264", b"") is None


@pytest.mark.parametrize("encoder", [H264, H265])
async def test_a_fragment_with_a_damaged_frame_is_told_by_the_time_of_its_first_frame(
    tmp_path: Path, encoder: Encoder
) -> None:
    await record(tmp_path, capture_times(4), encoder=encoder, segment_seconds=30)
    await take_over(tmp_path)
    path = tmp_path / f"{START_US // US}.mp4"
    content = read_fragments(path)
    assert damaged_fragments(path, content.codec, content.fragments) == frozenset()
    damage_frame(path, 0, 3, SLICE)
    assert damaged_fragments(path, content.codec, content.fragments) == frozenset()
    hit = {damage_frame(path, 1, 5, LENGTH).times_us[0], damage_frame(path, 3, 0, HEADER).times_us[0]}
    assert damaged_fragments(path, content.codec, content.fragments) == hit
    assert damaged_fragments(path, content.codec, content.fragments[2:3]) == frozenset()
    assert damaged_fragments(path, "av1", content.fragments) == frozenset()


async def test_the_frames_of_a_fragment_fill_it(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(2), segment_seconds=30)
    (path,) = tmp_path.glob("*.open")
    for fragment in read_fragments(path).fragments:
        data = path.read_bytes()[fragment.body_byte : fragment.end_byte]
        assert b"".join(frames_of(fragment, data)) == data
        assert len(frame_places(fragment)) == len(fragment.times_us)
