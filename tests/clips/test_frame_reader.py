from __future__ import annotations

import logging
from pathlib import Path

import pytest

import videostore.clips.frame_reader
from tests.support.damaged_frames import LENGTH, SLICE, damage_frame, flip_bits
from tests.support.recording import LOGGER, START_US, US, capture_times, record, take_over, write_foreign
from videostore.base.files import open_regular
from videostore.base.ranges import Range
from videostore.clips.frame_reader import FrameReader, find_undecodable
from videostore.media.foreign_frames import read_foreign
from videostore.media.sample_table import read_table
from videostore.media.segment import Segment, UnreadableError, probe

TIMES = capture_times(5)
ASKED = Range(TIMES[0], TIMES[-1] + 1)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A segment of 5 s."""
    await record(tmp_path, TIMES, segment_seconds=30)
    await take_over(tmp_path)
    return tmp_path / f"{START_US // US}.mp4"


def read(
    path: Path, segment: Segment, *, asked: Range = ASKED, thorough: bool = False, damage: frozenset[int] = frozenset()
) -> list[int]:
    reader = FrameReader([(segment, path)], asked, LOGGER, thorough=thorough, damage={segment.file_name: damage})
    times = reader.read(segment, path, segment.end_us, needed=True)
    assert times is not None
    return times.all_us


def test_damaged_fragments_are_left_out_and_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    segment = probe(path)
    lost = damage_frame(path, 2, 1, LENGTH).times_us
    with caplog.at_level(logging.WARNING, LOGGER.name):
        assert read(path, segment) == [one for one in TIMES if one not in lost]
    assert f"Segment {path.name} is damaged from 2024-08-30_06-40-02" in caplog.text
    assert read(path, segment, asked=Range(TIMES[0], TIMES[5])) == TIMES  # it is far behind


def test_what_else_is_known_as_damaged_is_left_out(path: Path) -> None:
    segment = probe(path)
    lost = damage_frame(path, 3, 2, SLICE).times_us
    assert read(path, segment) == TIMES
    known = find_undecodable(segment, path, Range(lost[1], lost[-1]))
    assert known == {lost[0]}
    assert read(path, segment, damage=known) == [one for one in TIMES if one not in lost]


def test_of_very_much_the_frames_are_read_only_if_there_is_a_reason(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = probe(path)
    monkeypatch.setattr(videostore.clips.frame_reader, "CHECKED_BYTES", segment.size_bytes - 1)
    lost = damage_frame(path, 2, 1, LENGTH).times_us
    assert read(path, segment) == TIMES
    assert read(path, segment, thorough=True) == [one for one in TIMES if one not in lost]


async def test_another_programs_segment_is_read_only_where_it_must_be(tmp_path: Path) -> None:
    path = tmp_path / "1725634833.mp4"
    await write_foreign(path)
    segment = probe(path)
    whole = Range(segment.start_us - US, segment.end_us + US)
    reader = FrameReader([(segment, path)], whole, LOGGER, thorough=False, damage={})
    assert reader.read(segment, path, segment.end_us, needed=False) is None
    times = reader.read(segment, path, segment.end_us, needed=True)
    assert times is not None and len(times.all_us) == 30
    assert find_undecodable(segment, path, whole) == frozenset()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableError, match="bytes instead of"):
        reader.read(segment, path, segment.end_us, needed=False)


async def test_another_programs_frames_are_checked_when_that_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "1725634833.mp4"
    await write_foreign(path)
    segment, asked = probe(path), Range(1_725_634_833 * US, 1_725_634_834 * US)
    whole = read_foreign(path)
    with open_regular(path) as file:
        table = read_table(file, path.stat().st_size)
    assert table is not None
    flip_bits(path, table.places[5][0], bits=0x80)
    later = FrameReader([(segment, path)], asked, LOGGER, thorough=False, check=False, damage={})
    times = later.read(segment, path, segment.end_us, needed=True)
    assert times is not None and len(times.all_us) == len(whole.frames) and not times.damaged
    assert later.left_unchecked
    reader = FrameReader([(segment, path)], asked, LOGGER, thorough=False, damage={})
    times = reader.read(segment, path, segment.end_us, needed=True)
    assert times is not None and times.damaged == (Range(asked.from_us, asked.to_us),)
    assert not reader.left_unchecked
