"""What is stored of a range: closed and open segments, and the errors where nothing is."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, US, Cutter, capture_times, nothing_open, record
from videostore.base.errors import NothingStoredError, UnreadableRangeError
from videostore.base.ranges import Range
from videostore.base.time_format import format_utc_microseconds
from videostore.clips.plan import Plan
from videostore.clips.planner import ClipPlanner
from videostore.clips.segment_links import SegmentLinks
from videostore.media.fmp4 import read_fragments
from videostore.media.segment import Segment, describe_fragments
from videostore.storage.archive import Archive

OpenOver = Callable[[Path], Awaitable[Cutter]]


@asynccontextmanager
async def planned(planner: ClipPlanner, archive: Archive, asked: Range, work: Path) -> AsyncIterator[Plan]:
    """A plan whose segments stay readable in the context."""
    work.mkdir()
    with SegmentLinks(archive.directory, work, read_only=False) as links:
        yield await planner.plan(asked, links)


# What is found


async def test_an_open_segment_is_read_as_far_as_it_was_written_and_nothing_is_copied(
    whole: Cutter, times: list[int], tmp_path: Path
) -> None:
    """The open segment is in another directory, and grows after it was found."""
    later = capture_times(1, times[-1] + US)
    await record(tmp_path / "open", later)
    (path,) = (tmp_path / "open").glob("*.open")
    found = describe_fragments(path.name, read_fragments(path))
    written = path.read_bytes()

    async def open_segments(from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
        return [(found, path)] if found.start_us < to_us and found.end_us > from_us else []

    path.write_bytes(written + b"more")
    planner = ClipPlanner(whole.archive, open_segments, LOGGER)
    async with planned(planner, whole.archive, Range(times[3], later[-1]), tmp_path / "work") as plan:
        *closed, last = plan.parts
        assert len(closed) == 4 and all(part.path.stat().st_nlink == 2 for part in closed)
        assert last.path.parent == tmp_path / "work" and last.path.samefile(path)
        assert last.read_bytes == found.size_bytes <= len(written)
        assert plan.ranges[-1].to_us == later[-1]


async def test_what_is_stored_while_it_is_looked_for_is_found(whole: Cutter, times: list[int], tmp_path: Path) -> None:
    """A busy recorder writes the first frames of a range late."""
    later = capture_times(1, times[-1] + US)
    await record(tmp_path / "open", later)
    (path,) = (tmp_path / "open").glob("*.open")
    found = describe_fragments(path.name, read_fragments(path))
    looks: list[int] = []

    async def open_segments(from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
        looks.append(from_us)
        return [(found, path)] if len(looks) > 1 and found.start_us < to_us and found.end_us > from_us else []

    planner = ClipPlanner(whole.archive, open_segments, LOGGER)
    async with planned(planner, whole.archive, Range(later[0], later[-1]), tmp_path / "work") as plan:
        assert [part.first_us for part in plan.parts] == [later[0]]


async def test_a_plan_is_replaced_only_if_some_of_its_segments_turn_out_to_be_damaged(
    whole: Cutter, times: list[int], tmp_path: Path
) -> None:
    planner = ClipPlanner(whole.archive, nothing_open, LOGGER)
    async with planned(planner, whole.archive, Range(times[3], times[-3]), tmp_path / "work") as plan:
        assert await planner.replan(plan, tmp_path / "work") is None
        damaged = plan.parts[1]
        damaged.path.write_bytes(b"garbage")
        better = await planner.replan(plan, tmp_path / "work")
        assert better is not None
        assert [part.segment for part in better.parts] == [part.segment for part in plan.parts if part is not damaged]
        for part in plan.parts:
            part.path.unlink()
        with pytest.raises(UnreadableRangeError):
            await planner.replan(plan, tmp_path / "work")


async def test_the_estimated_size_is_near_the_true_one(whole: Cutter, times: list[int]) -> None:
    for first, last in [(0, -1), (10, 50)]:
        async with whole.clips.plan(times[first], times[last]) as plan:
            size = len(await whole.cut(times[first], times[last]))
            assert 0.6 * size < plan.estimated_bytes < 1.6 * size


# Where nothing is


async def test_a_range_without_a_frame_is_refused_with_the_nearest_stored_range(
    whole: Cutter, times: list[int]
) -> None:
    for from_us, to_us in [
        (times[0] - 60 * US, times[0]),
        (times[-1] + 60 * US, times[-1] + 90 * US),
    ]:
        with pytest.raises(
            NothingStoredError,
            match=r"range.*The nearest stored range is from 2024-08-30_06-40-00.123Z to 2024-08-30_06-40-0",
        ) as error:
            await whole.cut(from_us, to_us)
        assert error.value.asked == Range(from_us, to_us)
        assert error.value.nearest is not None and error.value.nearest.from_us == times[0]
        assert times[-1] < error.value.nearest.to_us < times[-1] + US


async def test_a_range_between_two_frames_is_refused_with_the_times_of_both(whole: Cutter, times: list[int]) -> None:
    for number in (1, 6, len(times) - 1):
        before_us, after_us = times[number - 1], times[number]
        for asked in (Range(before_us + 1, after_us), Range(before_us + 1_000, before_us + 6_000)):
            with pytest.raises(NothingStoredError, match=r"No frame was captured in the range from") as error:
                await whole.cut(asked.from_us, asked.to_us)
            assert error.value.code == "no-frame-in-range"
            assert (error.value.asked, error.value.before_us, error.value.after_us) == (asked, before_us, after_us)
            assert f"captured at {format_utc_microseconds(before_us)} and" in str(error.value)
            assert f" and {format_utc_microseconds(after_us)}." in str(error.value)
            assert error.value.nearest is not None and error.value.nearest.from_us == times[0]


async def test_after_the_last_frame_only_that_one_is_near(whole: Cutter, times: list[int]) -> None:
    """As long as it is shown; after that the nearest range is told."""
    for to_us in (times[-1] + 2, times[-1] + 30 * US):
        with pytest.raises(NothingStoredError, match=r"The last one before it was captured at") as error:
            await whole.cut(times[-1] + 1, to_us)
        assert (error.value.code, error.value.before_us, error.value.after_us) == ("no-frame-after", times[-1], None)


@pytest.mark.parametrize("interval_s", [20, 59.9])
async def test_between_two_frames_of_a_slow_camera_is_no_frame_wherever_segments_begin(
    cutter: OpenOver, tmp_path: Path, interval_s: float
) -> None:
    slow = capture_times(360, fps=1 / interval_s, seed=None)
    await record(tmp_path / "slow", slow, segment_seconds=30)
    clips = await cutter(tmp_path / "slow")
    for before_us, after_us in itertools.pairwise(slow):
        for asked in (Range(before_us + 1, after_us), Range(before_us + 9 * US, before_us + 9 * US + 100_000)):
            with pytest.raises(NothingStoredError) as error:
                await clips.cut(asked.from_us, asked.to_us)
            assert error.value.code == "no-frame-in-range"
            assert (error.value.before_us, error.value.after_us) == (before_us, after_us)


async def test_what_a_clip_of_a_slow_camera_holds_begins_with_its_first_frame(cutter: OpenOver, tmp_path: Path) -> None:
    """Its ranges tell nothing of the frame before `from`, which it does not show; nothing is missing for that."""
    slow = capture_times(200, fps=1 / 20, seed=None)
    await record(tmp_path / "slow", slow, segment_seconds=30)
    later = capture_times(100, slow[-1] + 300 * US, fps=1 / 20, seed=None)
    await record(tmp_path / "slow", later, segment_seconds=30)
    clips = await cutter(tmp_path / "slow")
    async with clips.clips.plan(slow[2] + US, slow[5]) as plan:
        assert plan.ranges == (Range(slow[3], slow[5]),) and plan.complete
    async with clips.clips.plan(slow[2] + US, later[3]) as plan:
        assert plan.ranges[0].from_us == slow[3] and slow[-1] < plan.ranges[0].to_us <= slow[-1] + US
        assert plan.ranges[1:] == (Range(later[0], later[3]),) and not plan.complete
    async with clips.clips.plan(slow[-1] + 1, later[3]) as plan:  # the end of the last frame is not shown
        assert plan.ranges == (Range(later[0], later[3]),) and not plan.complete


async def test_an_empty_storage_has_no_nearest_range(cutter: OpenOver, tmp_path: Path) -> None:
    with pytest.raises(NothingStoredError, match=r"range.*the storage is empty") as error:
        await (await cutter(tmp_path)).cut(START_US, START_US + US)
    assert (error.value.asked, error.value.nearest) == (Range(START_US, START_US + US), None)


async def test_a_range_of_which_nothing_can_be_read_is_refused(whole: Cutter, times: list[int]) -> None:
    for path in whole.archive.directory.glob("*.mp4"):
        path.unlink()
    with pytest.raises(UnreadableRangeError) as error:
        await whole.cut(times[3], times[9])
    assert error.value.asked == Range(times[3], times[9])


async def test_a_range_that_begins_just_before_a_segment_that_is_gone_is_refused_as_unreadable(
    whole: Cutter, times: list[int]
) -> None:
    """The frame before it is shown into the range, and was captured before it."""
    gone = (await whole.archive.index.oldest(2))[1]
    (whole.archive.directory / gone.file_name).unlink()
    with pytest.raises(UnreadableRangeError):
        await whole.cut(gone.start_us - 1, times[times.index(gone.start_us) + 2])
