from __future__ import annotations

import os
from pathlib import Path

import av
import pytest

from tests.support.recording import START_US, US, capture_times, record
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.fragmented_file import FragmentedFile
from videostore.media.segment_length import write_length


async def segment(directory: Path, *, fps: float, seed: int | None = 0) -> tuple[Path, FragmentedFile]:
    """A segment of 3 s; its ffmpeg takes frames to last 50 ms where it does not know."""
    await record(directory, capture_times(3, fps=fps, seed=seed), segment_seconds=30)
    (path,) = directory.glob("*.open")
    return path, read_fragments(path)


def duration_us(path: Path) -> int:
    """How long other programs take the file to be."""
    with av.open(str(path), format="mp4") as container:
        return int(container.duration or 0)


def changed_bytes(before: bytes, after: bytes) -> int:
    assert len(before) == len(after)
    return sum(one != other for one, other in zip(before, after, strict=True))


async def test_other_programs_read_the_length_and_ours_reads_the_file_as_before(tmp_path: Path) -> None:
    path, content = await segment(tmp_path, fps=3)
    before = path.read_bytes()
    assert content.header_length_us is None
    until_us = content.end_us + 283_333
    assert write_length(path, content, until_us)
    assert 0 < changed_bytes(before, path.read_bytes()) <= 4
    after = read_fragments(path)
    assert (after.fragments, after.look, after.setup) == (content.fragments, content.look, content.setup)
    assert after.header_length_us == read_ends(path).header_length_us == until_us - START_US
    assert duration_us(path) == until_us - START_US


async def test_a_last_frame_that_would_last_too_long_is_shortened(tmp_path: Path) -> None:
    path, content = await segment(tmp_path, fps=30)
    until_us = content.times_us[-1] + 33_333
    assert content.end_us > until_us
    assert write_length(path, content, until_us)
    after = read_fragments(path)
    assert (after.times_us, after.keyframes_us) == (content.times_us, content.keyframes_us)
    assert after.end_us == read_ends(path).end_us == until_us
    assert duration_us(path) == after.header_length_us == until_us - START_US


async def test_a_fragment_of_one_frame_can_be_shortened_too(tmp_path: Path) -> None:
    times = [START_US, START_US + US]
    await record(tmp_path, times, segment_seconds=30)
    (path,) = tmp_path.glob("*.open")
    content = read_fragments(path)
    assert [len(one.times_us) for one in content.fragments] == [1, 1]
    assert write_length(path, content, times[-1] + 20_000)
    assert read_fragments(path).end_us == times[-1] + 20_000


async def test_a_length_that_is_stated_already_is_not_written_again(tmp_path: Path) -> None:
    path, content = await segment(tmp_path, fps=30)
    until_us = content.times_us[-1] + 33_333
    assert write_length(path, content, until_us)
    os.utime(path, ns=(0, 0))
    assert not write_length(path, content, until_us)
    assert not write_length(path, read_fragments(path), until_us)
    assert path.stat().st_mtime_ns == 0


@pytest.mark.parametrize("length_us", [-US, 0, US, 5000 * US])
async def test_a_length_that_is_too_short_or_has_no_place_is_not_written(tmp_path: Path, length_us: int) -> None:
    """The place is a number of 32 bits, and counts microseconds."""
    path, content = await segment(tmp_path, fps=3)
    before = path.read_bytes()
    assert not write_length(path, content, content.start_us + length_us)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", [b"moov", b"mdhd", b"moof", b"trun"])
async def test_a_damaged_file_is_left_alone(tmp_path: Path, name: bytes) -> None:
    path, content = await segment(tmp_path, fps=3)
    damaged = path.read_bytes().replace(name, b"\0\0\0\0")
    path.write_bytes(damaged)
    assert not write_length(path, content, content.end_us + 283_333)
    assert path.read_bytes() == damaged
