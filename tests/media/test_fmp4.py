from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.coding import coded_packets, record_coded
from tests.support.recording import H265, START_US, US, capture_times, record
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError

quickly = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def segment(recording: Path, tmp_path: Path) -> Path:
    """A copy of the first segment of a run, for a test to change."""
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
    """The content of the file; None if it is refused. Any other error fails the test."""
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


async def test_size_codec_and_run_are_read_too(segment: Path) -> None:
    content = read_fragments(segment)
    assert (content.width, content.height, content.codec) == (320, 180, "h264")
    assert content.comment == f"videostore run {START_US}"
    assert content.size_bytes < segment.stat().st_size  # ffmpeg's table follows the last fragment


async def test_there_is_a_keyframe_every_second_at_the_start_of_each_fragment(segment: Path) -> None:
    content = read_fragments(segment)
    assert len(content.keyframes_us) == 2
    assert content.keyframes_us[0] == START_US
    assert content.keyframes_us[1] == min(t for t in content.times_us if t >= START_US + US)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("gop", [7, 35, 1000])
async def test_there_is_a_fragment_every_second_if_keyframes_are_further_apart(
    tmp_path: Path, codec: str, gop: int
) -> None:
    """Coded video is recorded as it is: the camera decides where the keyframes are."""
    times = capture_times(6.5)
    packets = coded_packets(times, codec, gop=gop)
    await record_coded(tmp_path, packets)
    contents = [read_fragments(path) for path in sorted(tmp_path.glob("*.open"))]
    assert [t for content in contents for t in content.times_us] == times
    assert [t for content in contents for t in content.keyframes_us] == [p.captured_us for p in packets if p.keyframe]
    for content in contents:
        assert content.finished and content.keyframes_us[0] == content.start_us
        assert max(f.end_us - f.times_us[0] for f in content.fragments) < 1.3 * US
    assert len({content.setup for content in contents}) == 1


async def test_the_first_and_last_fragment_are_found_also_without_a_keyframe_in_the_last(tmp_path: Path) -> None:
    await record_coded(tmp_path, coded_packets(capture_times(6.5), "h264", gop=1000))
    (path,) = tmp_path.glob("*.open")
    whole, ends = read_fragments(path), read_ends(path)
    assert len(whole.fragments) > 5 and len(ends.fragments) == 2
    assert ends.fragments == (whole.fragments[0], whole.fragments[-1])
    assert not ends.fragments[1].keyframes_us and ends.finished


def fragment_file(tfhd: bytes, trun: bytes, moov: bytes) -> bytes:
    """A file of one fragment with these headers."""
    prft = box(b"prft", struct.pack(">IIQQ", 0x1000018, 1, 3_933_988_800 << 32, 0))
    return moov + prft + box(b"moof", box(b"traf", box(b"tfhd", tfhd) + box(b"trun", trun))) + box(b"mdat", b"xxx")


NO_KEY, KEY = 0x1010000, 0x2000000


@pytest.mark.parametrize(
    ("default", "first", "each", "keyframes"),
    [
        (NO_KEY, KEY, None, [0]),
        (NO_KEY, None, None, []),
        (KEY, None, None, [0, 1, 2]),
        (KEY, NO_KEY, None, [1, 2]),
        (None, None, None, [0]),
        (None, KEY, None, [0]),
        (None, NO_KEY, None, []),
        (NO_KEY, None, (NO_KEY, KEY, NO_KEY), [1]),
        (None, None, (KEY, NO_KEY, KEY), [0, 2]),
    ],
)
async def test_keyframes_are_found_by_the_flags_in_any_of_their_places(
    segment: Path, default: int | None, first: int | None, each: tuple[int, ...] | None, keyframes: list[int]
) -> None:
    data = segment.read_bytes()
    moov = next(data[begin:end] for kind, begin, end in boxes(data) if kind == "moov")
    tfhd = struct.pack(">III", 0x20008 | (0x20 if default is not None else 0), 1, 512)
    tfhd += struct.pack(">I", default) if default is not None else b""
    flags = 0x200 | (0x4 if first is not None else 0) | (0x400 if each else 0)
    trun = struct.pack(">II", flags, 3) + (struct.pack(">I", first) if first is not None else b"")
    trun += b"".join(struct.pack(">I", 1) + (struct.pack(">I", each[n]) if each else b"") for n in range(3))
    segment.write_bytes(fragment_file(tfhd, trun, moov))
    (fragment,) = read_fragments(segment).fragments
    assert [fragment.times_us.index(t) for t in fragment.keyframes_us] == keyframes


async def test_frames_at_constant_intervals_have_their_capture_times_too(tmp_path: Path) -> None:
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


async def test_times_after_february_2036_when_ntp_time_wraps_are_read(tmp_path: Path) -> None:
    times = capture_times(1.2, 2_200_000_000 * US + 5)
    await record(tmp_path, times)
    (path,) = tmp_path.glob("*.open")
    assert read_fragments(path).times_us == times


async def test_all_complete_fragments_of_a_file_that_was_cut_off_are_read(segment: Path) -> None:
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


async def test_thousands_of_nested_boxes_are_refused(tmp_path: Path) -> None:
    nested = b""
    for _ in range(3000):
        nested = box(b"trak", nested)
    path = tmp_path / "nested.mp4"
    path.write_bytes(box(b"moov", nested))
    with pytest.raises(NotOursError):
        read_fragments(path)


async def test_a_file_that_does_not_exist_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_fragments(tmp_path / "none.mp4")


@pytest.mark.parametrize("read", [read_fragments, read_ends])
def test_a_named_pipe_in_place_of_a_segment_is_refused_and_not_waited_for(
    tmp_path: Path, read: Callable[[Path], FragmentedFile]
) -> None:
    os.mkfifo(tmp_path / "segment.mp4")
    with pytest.raises(OSError, match="not a regular file"):
        read(tmp_path / "segment.mp4")
