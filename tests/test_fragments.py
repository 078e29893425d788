from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recording import H265, START_US, US, capture_times, record
from videostore.fragments import FragmentedFile, NotOursError, read_fragments

quickly = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def segment(recording: Path, tmp_path: Path) -> Path:
    """A whole segment, the first of a run, to be changed."""
    copy = tmp_path / "segment.mp4"
    copy.write_bytes(min(recording.glob("*.mp4")).read_bytes())
    return copy


def boxes(data: bytes) -> Iterator[tuple[str, int, int]]:
    """Kind, begin and end of each box of a file."""
    begin = 0
    while begin < len(data):
        size, kind = struct.unpack_from(">I4s", data, begin)
        yield kind.decode(), begin, begin + size
        begin += size


def read_or_refuse(path: Path) -> FragmentedFile | None:
    """What the file holds; None where it is refused as it should be. All else is an error of the test."""
    try:
        content = read_fragments(path)
        assert content.size_bytes > 0
        assert content.start_us <= content.end_us
        return content
    except NotOursError:
        return None


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


async def test_every_frame_of_a_run_has_its_capture_time_to_the_microsecond(recording: Path, times: list[int]) -> None:
    contents = [read_fragments(path) for path in sorted(recording.glob("*.mp4"))]
    assert len(contents) == 4
    assert [t for content in contents for t in content.times_us] == times
    assert all(content.finished for content in contents)


async def test_size_codec_and_run_are_read_along(segment: Path) -> None:
    content = read_fragments(segment)
    assert (content.width, content.height, content.codec) == (320, 180, "h264")
    assert content.comment == f"videostore run {START_US}"
    assert content.size_bytes < segment.stat().st_size  # the index of the file lies behind the last fragment


async def test_keyframes_come_every_second_and_begin_the_fragments(segment: Path) -> None:
    content = read_fragments(segment)
    assert len(content.keyframes_us) == 2
    assert content.keyframes_us[0] == START_US
    assert content.keyframes_us[1] == min(t for t in content.times_us if t >= START_US + US)


async def test_frames_at_constant_intervals_have_their_times_too(tmp_path: Path) -> None:
    times = capture_times(2.5, seed=None)
    await record(tmp_path, times)
    read = [t for path in sorted(tmp_path.glob("*.open")) for t in read_fragments(path).times_us]
    assert read == times


async def test_h265_is_read_like_h264(tmp_path: Path) -> None:
    times = capture_times(1.5)
    await record(tmp_path, times, encoder=H265)
    (path,) = tmp_path.glob("*.open")
    content = read_fragments(path)
    assert (content.codec, content.times_us) == ("hevc", times)


async def test_times_after_february_2036_are_read_although_ntp_time_wraps_there(tmp_path: Path) -> None:
    times = capture_times(1.2, 2_200_000_000 * US + 5)
    await record(tmp_path, times)
    (path,) = tmp_path.glob("*.open")
    assert read_fragments(path).times_us == times


async def test_of_a_file_that_was_cut_off_anywhere_the_whole_fragments_count(segment: Path) -> None:
    data = segment.read_bytes()
    whole = read_fragments(segment)
    layout = list(boxes(data))
    assert {"ftyp", "moov", "prft", "moof", "mdat", "mfra"} <= {kind for kind, _, _ in layout}
    cuts = {0, 1, len(data) - 1}
    for _, begin, end in layout:
        cuts |= {begin, begin + 1, begin + 4, begin + 7, begin + 8, begin + 9, begin + 20, (begin + end) // 2, end - 1}
    for cut in sorted(cuts):
        segment.write_bytes(data[:cut])
        expected = [f for f in whole.fragments if f.end_byte <= cut]
        content = read_or_refuse(segment)
        assert (list(content.fragments) if content else []) == expected, cut
        if content:
            assert not content.finished


@quickly
@given(st.binary(max_size=400))
async def test_random_bytes_are_refused(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "garbage.mp4"
    path.write_bytes(garbage)
    with pytest.raises(NotOursError):
        read_fragments(path)


@quickly
@given(st.data())
async def test_a_segment_with_damaged_bytes_is_read_or_refused(segment: Path, data: st.DataObject) -> None:
    whole = segment.read_bytes()
    damaged = bytearray(whole)
    headers = [
        n for kind, begin, end in boxes(whole) for n in range(begin, min(end, begin + 8 if kind == "mdat" else end))
    ]
    for position in data.draw(st.lists(st.sampled_from(headers), min_size=1, max_size=4)):
        damaged[position] = data.draw(st.integers(0, 255))
    path = segment.with_name("damaged.mp4")
    path.write_bytes(damaged)
    read_or_refuse(path)


@pytest.mark.parametrize("count", [0, 0xFFFFFFFF])
async def test_an_impossible_number_of_frames_is_refused_at_once(segment: Path, count: int) -> None:
    moov = next(segment.read_bytes()[begin:end] for kind, begin, end in boxes(segment.read_bytes()) if kind == "moov")
    tfhd = box(b"tfhd", struct.pack(">III", 0x20008, 1, 512))
    trun = box(b"trun", struct.pack(">II", 0, count))
    prft = box(b"prft", struct.pack(">IIQQ", 0x1000018, 1, 3_933_988_800 << 32, 0))
    moof = box(b"moof", box(b"traf", tfhd + trun))
    segment.write_bytes(moov + prft + moof + box(b"mdat", b"x"))
    with pytest.raises(NotOursError):
        read_fragments(segment)


async def test_boxes_without_end_inside_each_other_are_refused(tmp_path: Path) -> None:
    nested = b""
    for _ in range(3000):
        nested = box(b"trak", nested)
    path = tmp_path / "nested.mp4"
    path.write_bytes(box(b"moov", nested))
    with pytest.raises(NotOursError):
        read_fragments(path)


async def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_fragments(tmp_path / "none.mp4")
