from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recording import SMALL, US, write_foreign
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import UnknownFileError, UnreadableError, frame_times, probe
from videostore.media.segment_names import closed_name, name_time_us, open_name, parse_open_name


@pytest.fixture
def two_hours_east() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "EET-2")
        time.tzset()
        yield
    time.tzset()


def test_the_name_of_an_open_segment_tells_its_run_and_number() -> None:
    assert parse_open_name(open_name(1_725_000_000_123_457, 3)) == (1_725_000_000_123_457, 3)
    assert open_name(1_725_000_000_123_457, 3) == "1725000000123457-000003.open"


@pytest.mark.parametrize(
    "name", ["1725000000.mp4", "x-000001.open", "1-1.open", "1-000001.open.prog", ".open", "1-000001.OPEN"]
)
def test_other_names_are_of_no_open_segment(name: str) -> None:
    assert parse_open_name(name) is None


def test_a_closed_segment_is_named_by_the_second_of_its_first_frame_or_a_later_one() -> None:
    assert closed_name(1_725_000_000_999_999) == "1725000000.mp4"
    assert closed_name(1_725_000_000_999_999, 2) == "1725000002.mp4"


def test_names_of_the_go_module_tell_their_time(two_hours_east: None) -> None:
    assert name_time_us("1725634833.mp4") == 1_725_634_833 * US
    assert name_time_us("2024-09-06_15-00-33Z.mp4") == 1_725_634_833 * US
    assert name_time_us("2024-09-06_17-00-33.mp4") == 1_725_634_833 * US


@pytest.mark.parametrize(
    "name",
    ["clip.mp4", "1725634833.mp4.prog", "1725634833.avi", "2024-13-06_15-00-33.mp4", "2024-09-06.mp4", ".mp4", "-.mp4",
     "cam_2024-09-06_15-00-33.mp4", "1725634833 .mp4", "1725634833.mp4\n"],
)  # fmt: skip
def test_names_that_are_no_segments_tell_none(name: str) -> None:
    assert name_time_us(name) is None


def test_a_segment_of_ours_is_probed_with_its_true_times(recording: Path, times: list[int]) -> None:
    paths = sorted(recording.glob("*.mp4"))
    segments = [probe(path) for path in paths]
    assert [s.start_us for s in segments] == [read_fragments(path).start_us for path in paths]
    assert {(s.width, s.height, s.codec, s.run_us) for s in segments} == {(320, 180, "h264", times[0])}
    assert [s.size_bytes for s in segments] == [path.stat().st_size for path in paths]
    assert segments[0].start_us == times[0]
    assert segments[-1].end_us > times[-1]


def test_the_name_of_a_segment_of_ours_does_not_matter(recording: Path, tmp_path: Path, times: list[int]) -> None:
    renamed = tmp_path / "1000.mp4"
    renamed.write_bytes(min(recording.glob("*.mp4")).read_bytes())
    assert probe(renamed).start_us == times[0]


async def test_a_segment_of_the_go_module_starts_at_the_second_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "2024-09-06_15-00-33Z.mp4"
    await write_foreign(path, seconds=2)
    segment = probe(path)
    assert (segment.start_us, segment.end_us) == (1_725_634_833 * US, 1_725_634_835 * US)
    assert (segment.width, segment.height, segment.codec, segment.run_us) == (*SMALL, "h264", None)
    read = frame_times(segment, path)
    times, keyframes = read.all_us, read.keyframes_us
    assert times == [segment.start_us + n * US // 10 for n in range(20)]
    assert keyframes == [segment.start_us, segment.start_us + US]


@pytest.mark.parametrize("name", ["holiday.mp4", "1.mp4"])
async def test_a_foreign_file_without_the_time_of_a_recording_in_its_name_is_unknown(tmp_path: Path, name: str) -> None:
    await write_foreign(tmp_path / name, seconds=1)
    with pytest.raises(UnknownFileError):
        probe(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 5000, b"\0\0\0\x18ftypisom" + b"x" * 100])
def test_what_is_no_video_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1725634833.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableError):
        probe(path)


async def test_a_plain_file_that_was_cut_off_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "1725634833.mp4"
    await write_foreign(path, seconds=1)
    data = path.read_bytes()
    for size in (40, len(data) // 2):
        path.write_bytes(data[:size])
        with pytest.raises(UnreadableError):
            probe(path)


def test_a_file_that_has_vanished_is_not_taken_for_a_damaged_one(recording: Path, tmp_path: Path) -> None:
    segment = probe(min(recording.glob("*.mp4")))
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "1725634833.mp4")
    with pytest.raises(UnreadableError):
        frame_times(segment, tmp_path / "1725634833.mp4")
