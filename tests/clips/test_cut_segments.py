"""Clips over segments that another program wrote, and over those that are deleted or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.cut_check import OpenOver, check
from tests.support.recording import (
    START_US,
    US,
    Cutter,
    capture_times,
    record,
    write_foreign,
)
from videostore.base.errors import UnreadableRangeError
from videostore.media.fmp4 import read_fragments


async def test_segments_of_the_go_module_are_joined_without_losing_a_frame(cutter: OpenOver, tmp_path: Path) -> None:
    for second in (0, 3, 6):
        await write_foreign(tmp_path / f"{1_725_634_800 + second}.mp4")
    clips = await cutter(tmp_path)
    from_us = 1_725_634_801 * US
    assert len(read_clip(await clips.cut(from_us, from_us + 6 * US))) == 60
    assert len(read_clip(await clips.cut(from_us + 50_000, from_us + 6 * US + 50_001))) == 60
    async with clips.clips.plan(from_us, from_us + 6 * US) as plan:
        assert plan.complete


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
async def test_a_clip_that_starts_inside_a_segment_of_the_go_module_keeps_the_distances_of_its_frames(
    cutter: OpenOver, tmp_path: Path, container: str
) -> None:
    for second in (0, 3):
        await write_foreign(tmp_path / f"{1_725_634_800 + second}.mp4")
    clips = await cutter(tmp_path)
    from_us = 1_725_634_800 * US + 650_000
    for seconds in (1, 4):
        shown = [at_s for at_s, _ in read_clip(await clips.cut(from_us, from_us + seconds * US, container))]
        assert len(shown) == 10 * seconds
        assert shown == pytest.approx([number / 10 for number in range(10 * seconds)], abs=0.002)


async def test_a_clip_can_continue_from_a_recording_of_the_go_module_into_ours(
    cutter: OpenOver, tmp_path: Path
) -> None:
    await write_foreign(tmp_path / f"{START_US // US - 10}.mp4", size=(320, 180))
    times = capture_times(3)
    await record(tmp_path, times)
    clips = await cutter(tmp_path)
    shown = read_clip(await clips.cut(START_US - 60 * US, START_US + 60 * US))
    assert len(shown) == 30 + len(times)
    assert [frame.captured_us for _, frame in shown[30:] if frame] == times
    assert [at_s - shown[30][0] for at_s, _ in shown[30:]] == pytest.approx(
        [(t - times[0]) / US for t in times], abs=0.002
    )


async def test_a_deleted_segment_is_left_out_of_the_clip(whole: Cutter, times: list[int]) -> None:
    """The index still lists it."""
    second = (await whole.archive.index.oldest(2))[1]
    (whole.archive.directory / second.file_name).unlink()
    rest = [t for t in times if not second.start_us <= t < second.end_us]
    await check(whole, rest, times[3], times[-3], gaps=True)
    async with whole.clips.plan(times[3], times[-3]) as plan:
        assert len(plan.ranges) == 2


@pytest.mark.parametrize("position", [0, 3])
async def test_a_deleted_segment_at_an_end_of_the_range_is_left_out(
    whole: Cutter, times: list[int], position: int
) -> None:
    gone = (await whole.archive.index.oldest(4))[position]
    (whole.archive.directory / gone.file_name).unlink()
    rest = [t for t in times if not gone.start_us <= t < gone.end_us]
    await check(whole, rest, times[3], times[-3])


async def test_a_segment_is_left_out_whose_name_another_one_has_now(whole: Cutter, times: list[int]) -> None:
    """It was renamed, the next one that closed took the free name, and the index knows of neither yet."""
    first, second = await whole.archive.index.oldest(2)
    (whole.archive.directory / second.file_name).rename(whole.archive.directory / first.file_name)
    rest = [t for t in times if t >= second.end_us]
    await check(whole, rest, times[3], times[-3])


async def test_a_clip_holds_the_rest_if_a_segment_is_damaged_between_plan_and_cut(
    whole: Cutter, times: list[int], tmp_path: Path
) -> None:
    output = tmp_path / "clip.mp4"
    async with whole.clips.plan(times[3], times[-3]) as plan:
        damaged = plan.parts[1]
        damaged.path.write_bytes(b"garbage")
        done = await whole.clips.cut(plan, output)
    assert plan.complete and not done.complete and len(done.ranges) == 2
    rest = [t for t in times if not damaged.segment.start_us <= t < damaged.end_us]
    assert check_clip(read_clip(output), rest, times[3], times[-3]).flawless


async def test_there_is_no_clip_if_all_segments_vanish_between_plan_and_cut(
    whole: Cutter, times: list[int], tmp_path: Path
) -> None:
    output = tmp_path / "clip.mp4"
    async with whole.clips.plan(times[3], times[-3]) as plan:
        for part in plan.parts:
            part.path.unlink()
        with pytest.raises(UnreadableRangeError, match="cannot be read"):
            await whole.clips.cut(plan, output)
    assert not output.exists()


async def test_a_clip_holds_what_can_be_read_of_a_truncated_segment(whole: Cutter, times: list[int]) -> None:
    last = (await whole.archive.index.oldest(10))[-1]
    path = whole.archive.directory / last.file_name
    content = read_fragments(path)
    path.write_bytes(path.read_bytes()[: content.fragments[0].end_byte + 100])
    rest = [t for t in times if t < content.fragments[1].times_us[0]] if len(content.fragments) > 1 else times
    await check(whole, rest, times[3], times[-1])


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
@pytest.mark.parametrize("indexed", ["before", "afterwards"])
async def test_only_the_end_is_missing_of_a_segment_that_is_truncated_in_the_middle_of_a_clip(
    whole: Cutter, times: list[int], container: str, indexed: str
) -> None:
    """ffmpeg would stop at the first broken fragment and show nothing of the segments that follow."""
    damaged = (await whole.archive.index.oldest(10))[1]
    path = whole.archive.directory / damaged.file_name
    fragment, following = read_fragments(path).fragments[:2]
    with path.open("r+b") as file:
        file.truncate(fragment.end_byte + (following.end_byte - fragment.end_byte) * 2 // 3)
    if indexed == "afterwards":
        await whole.archive.take_closed(path.name)
    rest = [t for t in times if not fragment.end_us <= t < damaged.end_us]
    clip = await whole.cut(times[3], times[-3], container)
    assert check_clip(read_clip(clip), rest, times[3], times[-3]).flawless


async def test_a_clip_holds_what_comes_before_garbage_in_the_middle_of_a_segment(
    whole: Cutter, times: list[int]
) -> None:
    damaged = (await whole.archive.index.oldest(10))[1]
    path = whole.archive.directory / damaged.file_name
    fragment = read_fragments(path).fragments[0]
    with path.open("r+b") as file:
        file.seek(fragment.end_byte)
        file.write(b"\xa5" * 2000)
    rest = [t for t in times if not fragment.end_us <= t < damaged.end_us]
    async with whole.clips.plan(times[3], times[-3]) as plan, whole.clips.temporary() as output:
        done = await whole.clips.cut(plan, output)
        assert check_clip(read_clip(output), rest, times[3], times[-3]).flawless
    assert [r.to_us for r in done.ranges] == [fragment.end_us, times[-3]]
