from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.clapping import clapping, record_clapping
from tests.support.recording import LOGGER, US, FixedClock, capture_times, record, until
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import Segment
from videostore.storage.archive import Archive
from videostore.storage.open_segments import COVER_TIMEOUT_S, OpenSegments, newest_has_sound


@dataclass
class FakeRun:
    """A run whose files a test writes."""

    epoch_us: int
    last_us: int
    paths: list[Path] = field(default_factory=list)

    def open_paths(self) -> list[Path]:
        return [path for path in self.paths if path.exists()]

    def next_frame_us(self, time_us: int) -> int | None:
        return None

    def next_sound_us(self, _: int) -> int | None:
        return None


@pytest.fixture
async def run(archive: Archive, times: list[int]) -> FakeRun:
    """A run of 7 s in one open segment."""
    await record(archive.directory, times, segment_seconds=30)
    return FakeRun(times[0], times[-1], list(archive.directory.glob("*.open")))


async def test_an_open_segment_is_found_by_any_part_of_its_range(archive: Archive, run: FakeRun) -> None:
    opened = OpenSegments(archive, FixedClock(), lambda: run)
    content = read_fragments(run.paths[0])
    ((segment, path),) = await opened.find(content.start_us, content.start_us + 1)
    assert (segment.start_us, segment.end_us, path) == (content.start_us, content.fragments[-1].end_us, run.paths[0])
    assert await opened.find(segment.end_us, segment.end_us + US) == []
    assert await opened.find(segment.start_us - US, segment.start_us) == []
    assert await OpenSegments(archive, FixedClock(), lambda: None).find(0, 1 << 62) == []


async def test_a_segment_is_found_up_to_its_last_complete_fragment(archive: Archive, run: FakeRun) -> None:
    fragments = read_fragments(run.paths[0]).fragments
    os.truncate(run.paths[0], fragments[2].end_byte + 100)
    ((segment, _),) = await OpenSegments(archive, FixedClock(), lambda: run).find(0, 1 << 62)
    assert segment.end_us == fragments[2].end_us
    run.paths[0].write_bytes(b"")
    assert await OpenSegments(archive, FixedClock(), lambda: run).find(0, 1 << 62) == []


async def test_a_segment_that_could_not_be_closed_is_found_without_a_run(archive: Archive, run: FakeRun) -> None:
    archive.unclosed.add(run.paths[0])
    opened = OpenSegments(archive, FixedClock(), lambda: None)
    ((_, path),) = await opened.find(0, 1 << 62)
    assert path == run.paths[0]
    assert opened.measure() == 0  # only the current run counts


async def test_the_size_is_that_of_all_open_segments_if_the_archive_is_read_only(
    archive: Archive, run: FakeRun
) -> None:
    size_bytes = run.paths[0].stat().st_size
    assert OpenSegments(archive, FixedClock(), lambda: run).measure() == size_bytes
    reader = await Archive.open_read_only(archive.directory, LOGGER)
    reader.unclosed.add(run.paths[0])
    assert OpenSegments(reader, FixedClock(), lambda: None).measure() == size_bytes
    await reader.close()


async def test_the_last_frame_of_a_run_is_read_from_closed_and_unclosed_segments(
    archive: Archive, run: FakeRun, times: list[int]
) -> None:
    opened = OpenSegments(archive, FixedClock(), lambda: None)
    assert await opened.last_frame_us(run) == run.epoch_us - 1  # in no file that is known
    archive.unclosed.add(run.paths[0])
    assert await opened.last_frame_us(run) == times[-1]
    await archive.take_open(run.paths[0])
    assert not archive.unclosed and await opened.last_frame_us(run) == times[-1]


async def test_of_a_closed_segment_that_cannot_be_read_now_the_last_moment_is_told(
    archive: Archive, run: FakeRun, times: list[int]
) -> None:
    opened = OpenSegments(archive, FixedClock(), lambda: None)
    archive.unclosed.add(archive.directory / f"{run.epoch_us}-000007.open")
    await archive.take_open(run.paths[0])
    (path,) = archive.directory.glob("*.mp4")
    path.rename(path.with_suffix(".elsewhere"))
    assert await opened.last_frame_us(run) == run.last_us == times[-1]
    run.last_us += 10 * US
    assert await opened.last_frame_us(run) == archive.timeline.end_us - 1  # type: ignore[operator]
    path.write_bytes(b"torn")
    assert await opened.last_frame_us(run) == run.epoch_us - 1


async def test_a_segment_of_another_run_does_not_tell_the_last_frame(
    archive: Archive, run: FakeRun, times: list[int]
) -> None:
    opened = OpenSegments(archive, FixedClock(), lambda: None)
    await archive.take_open(run.paths[0])
    for start_us in (times[0] - 3600 * US, times[-1] + 3600 * US):
        await record(archive.directory, capture_times(1, start_us))
    archive.unclosed.update(archive.directory.glob("*.open"))
    assert len(archive.unclosed) == 2 and await opened.last_frame_us(run) == times[-1]


async def test_waiting_ends_when_a_frame_after_the_range_is_in_a_file(archive: Archive, times: list[int]) -> None:
    later = capture_times(3, times[-1] + US)
    run = FakeRun(later[0], later[-1])
    opened = OpenSegments(archive, FixedClock(), lambda: run)
    waiting = asyncio.create_task(opened.wait_until_covered(later[0], later[0] + US))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await record(archive.directory, later, segment_seconds=30)
    run.paths = list(archive.directory.glob("*.open"))
    await asyncio.wait_for(waiting, 150)


async def test_waiting_ends_without_a_run_after_a_step_of_the_clock_and_after_a_minute(archive: Archive) -> None:
    clock = FixedClock()
    run = FakeRun(clock.wall - US, clock.wall)
    await OpenSegments(archive, clock, lambda: None).wait_until_covered(0, US)
    opened = OpenSegments(archive, clock, lambda: run)
    await opened.wait_until_covered(run.epoch_us - 2 * US, run.epoch_us)  # before the run
    await opened.wait_until_covered(clock.wall + 60 * US, clock.wall + 70 * US)  # the clock was set back
    waiting = asyncio.create_task(opened.wait_until_covered(run.epoch_us, run.last_us + US))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    clock.advance(COVER_TIMEOUT_S)
    await until(waiting.done)


async def test_the_newest_picture_is_the_end_of_the_last_whole_fragment(archive: Archive, run: FakeRun) -> None:
    current: list[FakeRun | None] = [run]
    segments = OpenSegments(archive, FixedClock(), lambda: current[0])
    content = read_fragments(run.paths[0])
    assert await segments.newest_us() == content.end_us
    os.truncate(run.paths[0], content.fragments[3].end_byte + 10)
    assert await segments.newest_us() == content.fragments[3].end_us
    os.truncate(run.paths[0], 100)
    assert await segments.newest_us() is None
    current[0] = None
    assert await segments.newest_us() is None
    archive.timeline.add(US, 2 * US, 1)
    assert await segments.newest_us() == 2 * US


async def test_the_newest_segment_tells_whether_there_is_sound_open_or_closed(archive: Archive) -> None:
    assert not await newest_has_sound(archive, [])
    camera, opened = clapping(3), OpenSegments(archive, FixedClock(), lambda: None)

    async def open_now() -> list[Segment]:
        return [one for one, _ in await opened.find(0, 1 << 62)]

    for number, (sent, sound) in enumerate([(camera, True), (camera.silent(), False), (camera, True)]):
        run = await record_clapping(archive.directory, sent.moved(number * 10 * US), segment_seconds=30)
        (path,) = archive.directory.glob("*.open")
        archive.unclosed.add(path)
        assert await newest_has_sound(archive, await open_now()) is sound
        archive.unclosed.discard(path)
        await archive.take_open(path, run=run)
        assert await newest_has_sound(archive, await open_now()) is sound


async def test_when_the_sound_of_an_open_segment_was_captured_is_asked_of_its_run(archive: Archive) -> None:
    camera = clapping(4)
    run = await record_clapping(archive.directory, camera, segment_seconds=30)
    ((segment, path),) = await OpenSegments(archive, FixedClock(), lambda: run).find(0, 1 << 62)
    sounds = [sound.captured_us for one in camera.packets for sound in one.sound]
    assert segment.sound_us == min(sound for sound in sounds if sound >= segment.start_us)
    assert segment.sound_us != read_fragments(path).sounds[0].times_us[0], "the file knows it to half a packet"
    archive.unclosed.add(path)
    ((left, _),) = await OpenSegments(archive, FixedClock(), lambda: None).find(0, 1 << 62)
    assert left.sound_us is None
