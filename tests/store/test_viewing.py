"""Viewing: where the segments of a range are, and what is stored when."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.support.open_gops import TIMES, OpenGops, painted, time_of
from tests.support.recording import LOGGER, START_US, US, take_over, write_foreign
from videostore.base.ranges import Range
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import probe
from videostore.media.segment_names import open_name
from videostore.storage.directory_lock import DirectoryLock
from videostore.store.store import VideoStore
from videostore.store.viewing import SegmentKey


def test_a_key_is_read_as_it_is_written() -> None:
    ours, another = SegmentKey(1_725_000_000_123_457, 1_725_000_000_000_000), SegmentKey(5, None, 4_294_967_295)
    for key in (ours, SegmentKey(0, 0), another, SegmentKey(5, None), SegmentKey(5, None, 0)):
        assert SegmentKey.parse(str(key)) == key


@pytest.mark.parametrize(
    "text", ["", "-", "1-", "-1", "1-2-3", "1--", "1--2-3", "1---2", "x", "1.5", "٣", "1" * 19, "../1", "1\n"]
)
def test_nothing_else_is_a_key(text: str) -> None:
    assert SegmentKey.parse(text) is None


async def test_segments_are_found_by_time_and_by_key(recording: Path) -> None:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        found = await store._viewing.segments(START_US, START_US + 7 * US)
        assert [one.path.name for one in found] == sorted(one.name for one in recording.glob("*.mp4"))
        for one in found:
            assert await store._viewing.path_of(one.key) == one.path
            assert await store._viewing.path_of(SegmentKey(one.key.start_us + 1, one.key.run_us)) == one.path
            assert await store._viewing.path_of(SegmentKey(one.key.start_us, None)) is None
        assert len(await store._viewing.segments(START_US, START_US + 7 * US, 2)) == 2


async def test_files_of_other_programs_that_begin_in_the_same_second_are_all_found(tmp_path: Path) -> None:
    second = START_US // US
    names = [f"{second}.mp4", "2024-08-30_06-40-00Z.mp4"]
    for name, seconds in zip(names, (1, 3), strict=True):
        await write_foreign(tmp_path / name, seconds=seconds)
    await take_over(tmp_path)
    async with VideoStore.open(tmp_path, logger=LOGGER) as store:
        for from_s, expected in ((0.5, names), (2, names[1:])):
            found = await store._viewing.segments(second * US + round(from_s * US), second * US + 9 * US)
            assert {one.path.name for one in found} == set(expected)
            for one in found:
                assert await store._viewing.path_of(one.key) == one.path
        assert len((await store._viewing.frames_us(Range(second * US, second * US + 9 * US), 99))[0]) == 40


async def test_of_copies_of_a_segment_the_longest_is_found(recording: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(recording, tmp_path / "cam"))
    first = min(directory.glob("*.mp4"))
    cut_off = first.read_bytes()[: read_fragments(first).fragments[0].end_byte]
    for name in (f"{int(first.stem) - 5}.mp4", f"{int(first.stem) + 5}.mp4"):
        (directory / name).write_bytes(cut_off)
    await take_over(directory)
    async with VideoStore.open(directory, logger=LOGGER) as store:
        found = await store._viewing.segments(START_US, START_US + 7 * US)
        assert len(found) == 4 and found[0].path == first
        assert await store._viewing.path_of(found[0].key) == first


async def test_what_is_stored_of_a_range_is_told(recording: Path, times: list[int]) -> None:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        found = await store._viewing.ranges(Range(START_US - US, START_US + US), 100)
        assert found.ranges == (Range(START_US, START_US + US),)
        assert (found.exact, found.damaged, found.first_us) == (True, (), times[0])
        assert not await store._viewing.is_recording()


async def test_a_slow_camera_is_being_recorded_between_its_images(recording: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(recording, tmp_path / "cam"))
    last = max(directory.glob("*.mp4"))
    opened = last.rename(directory / open_name(probe(last).start_us, 0))
    lock = DirectoryLock(directory)
    async with VideoStore.open(directory, logger=LOGGER) as reader:
        for age_s, expected in ((12, True), (90, False)):
            os.utime(opened, (time.time() - age_s,) * 2)
            assert await reader._viewing.is_recording() == expected
        os.utime(opened)
        lock.release()
        assert not await reader._viewing.is_recording()


async def test_each_frame_of_open_gops_is_counted_once_wherever_a_range_begins_or_ends(open_gops: OpenGops) -> None:
    async with VideoStore.open(open_gops.directory, logger=LOGGER) as store:
        found, complete = await store._viewing.frames_us(Range(0, 1 << 62), 2000)
        assert (found, complete) == (TIMES, True)
        border = open_gops.begins[1]
        for at in range(border - open_gops.leading - 1, border + 2):
            for from_us, to_us in ((TIMES[at] - 10 * US, TIMES[at]), (TIMES[at], TIMES[at] + 40 * US)):
                found, _ = await store._viewing.frames_us(Range(from_us, to_us), 2000)
                assert found == [one for one in TIMES if from_us <= one < to_us]
        found, complete = await store._viewing.frames_us(Range(TIMES[border - 1], TIMES[-1] + 1), 3)
        assert (found, complete) == (TIMES[border - 1 : border + 2], False)


async def test_frames_are_not_counted_that_the_quota_took_what_they_need_of(
    open_gops: OpenGops, tmp_path: Path
) -> None:
    copy = open_gops.copy(tmp_path / "storage", 1, 2)
    async with VideoStore.open(copy, logger=LOGGER) as store:
        found, _ = await store._viewing.frames_us(Range(0, 1 << 62), 2000)
        assert found == TIMES[open_gops.begins[1] :]


async def test_a_file_that_begins_with_an_open_gop_counts_when_all_before_its_first_frame_is_there(
    open_gops: OpenGops, tmp_path: Path
) -> None:
    """Fragments last a second, and hold a frame or two here: it takes some of them."""
    copy = open_gops.copy(tmp_path / "storage", 0)
    _, border, _ = open_gops.begins
    source = sorted(open_gops.directory.glob("*.mp4"))[1]
    content = read_fragments(source)
    run_us = probe(source).run_us
    assert run_us is not None
    path = copy / open_name(run_us, 1)
    counts = []
    for fragment in content.fragments[:6]:
        path.write_bytes(source.read_bytes()[: fragment.end_byte])
        async with VideoStore.open(copy, logger=LOGGER) as store:
            counted, complete = await store._viewing.frames_us(Range(0, 1 << 62), 2000)
            state = await store.state()
            clip = await store.fetch(TIMES[0], TIMES[-1])
            assert complete and counted == [time_of(one) for one in painted(clip.data)]
            assert clip.ranges is not None and len(clip.ranges) == len(state.ranges) == 1
            assert state.ranges[0].to_us == await store.newest_us()
            assert clip.ranges[0].to_us == (state.ranges[0].to_us if counted[-1] >= TIMES[border] else counted[-1] + 1)
            assert counted[-1] < state.ranges[0].to_us <= counted[-1] + US
            counts.append(len(counted))
    assert counts[0] == border - open_gops.leading and counts[-1] > border
    assert all(one == counts[0] or one > border for one in counts)
