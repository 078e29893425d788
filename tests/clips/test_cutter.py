from __future__ import annotations

import asyncio
import io
import itertools
from pathlib import Path

import av
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import at_most, cut_short, each_value, some, some_combinations
from tests.support.coding import coded_packets, record_coded
from tests.support.cut_check import MAX_DRIFT_MS, OpenOver, check
from tests.support.recording import (
    H264,
    H265,
    LOGGER,
    START_US,
    US,
    Cutter,
    capture_times,
    clips_of,
    record,
    take_over,
)
from videostore.base.errors import FFmpegError, VideoStoreError
from videostore.base.ranges import Range
from videostore.clips.cut_commands import TAGS
from videostore.clips.workspace import WORK_DIRECTORY, Workspaces
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.storage.archive import Archive

CONTAINERS = ["mp4", "fmp4"]


def segment_starts(recording: Path) -> list[int]:
    return [read_fragments(path).start_us for path in sorted(recording.glob("*.mp4"))]


def keyframes(recording: Path) -> list[int]:
    return [t for path in sorted(recording.glob("*.mp4")) for t in read_fragments(path).keyframes_us]


def length_us(clip: bytes) -> int:
    """How long a player shows a clip."""
    with av.open(io.BytesIO(clip)) as container:
        duration_us: int | None = container.duration
    assert duration_us is not None
    return duration_us


# One run


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_clip_from_one_frame_to_another_holds_the_first_and_not_the_last(
    whole: Cutter, times: list[int], container: str
) -> None:
    for first, last in [(3, 12), (14, 15), (13, 44), (0, 6), (7, 9), (25, -1)]:
        found = await check(whole, times, times[first], times[last], container)
        assert (found.first_us, found.last_us) == (times[first], times[last - 1])


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_clip_that_starts_and_ends_between_frames_holds_those_inside(
    whole: Cutter, times: list[int], container: str
) -> None:
    for first, last in [(3, 12), (14, 16), (13, 44), (25, -1)]:
        found = await check(whole, times, times[first] + 1, times[last] + 1, container)
        assert (found.first_us, found.last_us) == (times[first + 1], times[last])
        found = await check(whole, times, times[first] - 1, times[last] - 1, container)
        assert (found.first_us, found.last_us) == (times[first], times[last - 1])


@some("container", CONTAINERS, 1)
async def test_a_clip_can_start_or_end_at_every_keyframe(
    whole: Cutter, recording: Path, times: list[int], container: str
) -> None:
    for keyframe in keyframes(recording)[1:-1]:
        await check(whole, times, keyframe, keyframe + 800_000, container)
        await check(whole, times, keyframe - 700_000, keyframe, container)
        await check(whole, times, keyframe - 500_000, keyframe + 1, container)


@some("container", CONTAINERS[::-1], 1)
async def test_a_clip_can_start_or_end_where_a_segment_starts(
    whole: Cutter, recording: Path, times: list[int], container: str
) -> None:
    starts = segment_starts(recording)
    for border in starts[1:]:
        for offset in (-1, 0, 1):
            await check(whole, times, border + offset, border + 900_000, container)
            await check(whole, times, border - 900_000, border + offset, container)
    await check(whole, times, starts[1], starts[2], container)


@cut_short
@pytest.mark.parametrize("container", CONTAINERS)
async def test_the_last_frame_of_a_clip_is_shown_until_the_next_one_was_captured(
    whole: Cutter, recording: Path, times: list[int], container: str
) -> None:
    """Up to 7.1 ffmpeg reports no duration for a fragment's frames, and later ones guess that of the last one."""
    for to_us in (*times[6 : 30 : at_most(1, 4)], *segment_starts(recording)[1:], times[-1]):
        clip = await whole.cut(times[3], to_us, container)
        assert abs(length_us(clip) - (to_us - times[3])) <= MAX_DRIFT_MS * 1000


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_clip_of_all_segments_keeps_time_to_its_end(whole: Cutter, times: list[int], container: str) -> None:
    found = await check(whole, times, times[4] + 1, times[-3], container)
    assert found.shown == len(times) - 8
    async with whole.clips.plan(times[4], times[-3]) as plan:
        assert plan.complete
        assert len(plan.parts) == 4


async def test_a_clip_of_more_than_the_recording_holds_all_of_its_frames(whole: Cutter, times: list[int]) -> None:
    await check(whole, times, times[0] - 60 * US, times[-1] + 60 * US)
    async with whole.clips.plan(times[0] - 60 * US, times[-1] + 60 * US) as plan:
        assert not plan.complete
        ((held),) = plan.ranges
        assert held.from_us == times[0]
        assert times[-1] < held.to_us < times[-1] + US


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_single_frame_makes_a_clip(whole: Cutter, times: list[int], container: str) -> None:
    for n in (0, 1, 5, 24, 25, 26, len(times) - 1):
        found = await check(whole, times, times[n], times[n] + 1, container)
        assert found.shown == 1


async def test_a_fragmented_clip_can_be_played_while_it_arrives(whole: Cutter, times: list[int]) -> None:
    """It holds nothing before the first frame, and a player that gets half of the bytes shows the first frames."""
    clip = await whole.cut(times[5], times[40], "fmp4")
    assert b"moof" in clip
    assert clip.index(b"moov") < clip.index(b"moof")
    with av.open(io.BytesIO(clip), options={"ignore_editlist": "1"}) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 35
    begin = read_clip(clip[: clip.rindex(b"moof") - 4])
    assert begin[0][1] is not None
    assert begin[0][1].captured_us == times[5]


async def test_clips_of_h265_are_exact(cutter: OpenOver, tmp_path: Path) -> None:
    times = capture_times(5, fps=8)
    await record(tmp_path, times, encoder=H265)
    clips = await cutter(tmp_path)
    for first, last in [(3, 12), (0, -1), (13, 33)]:
        await check(clips, times, times[first], times[last])
        await check(clips, times, times[first] + 1, times[last] + 1)
    clip = await clips.cut(times[3], times[20])
    assert b"hvc1" in clip  # Apple's players play no other


async def test_fragmented_clips_of_h265_are_exact(cutter: OpenOver, tmp_path: Path) -> None:
    times = capture_times(5, fps=8)
    await record(tmp_path, times, encoder=H265)
    clips = await cutter(tmp_path)
    for first, last in [(3, 12), (0, -1), (13, 33)]:
        await check(clips, times, times[first], times[last], "fmp4")


@each_value(codec=["h264", "hevc"], gop=[25, 1000], container=CONTAINERS)
async def test_a_clip_can_start_and_end_far_from_any_keyframe(
    cutter: OpenOver, tmp_path: Path, codec: str, gop: int, container: str
) -> None:
    """Video that a camera encoded is recorded as it is: keyframes are seconds apart, fragments start between them."""
    times = capture_times(8)
    await record_coded(tmp_path, coded_packets(times, codec, gop=gop))
    clips = await cutter(tmp_path)
    for first, last in [(3, 12), (13, 60), (22, 24), (24, 51), (25, 50), (40, 41), (0, -1), (49, -1)]:
        await check(clips, times, times[first], times[last], container)
    await check(clips, times, times[13] + 1, times[37] + 1, container)


async def test_clips_of_a_slow_camera_are_exact(cutter: OpenOver, tmp_path: Path) -> None:
    """Frames are 3 s apart and each is a segment: the true length of the last frame is the distance to the next."""
    times = capture_times(20, fps=1 / 3)
    await record(tmp_path, times)
    clips = await cutter(tmp_path)
    await check(clips, times, times[1], times[-1])
    await check(clips, times, times[1] + 1, times[-1] + 1)


async def test_a_directory_name_may_contain_quotes_spaces_and_percent_signs(cutter: OpenOver, tmp_path: Path) -> None:
    times = capture_times(3.5)
    directory = tmp_path / 'it\'s 100%d \\ "recorded" [here]; #1'
    await record(directory, times)
    clips = await cutter(directory)
    await check(clips, times, times[3], times[-2])
    await check(clips, times, times[3], times[-2], "fmp4")


# Several runs


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_gap_between_runs_is_left_out_and_missing_in_the_ranges(
    cutter: OpenOver, tmp_path: Path, container: str
) -> None:
    before, after = capture_times(3.2), capture_times(3.2, START_US + 20 * US, seed=1)
    for run in (before, after):
        await record(tmp_path, run)
    clips = await cutter(tmp_path)
    from_us, to_us = before[4], after[-5]
    clip = await clips.cut(from_us, to_us, container)
    shown = read_clip(clip)
    assert check_clip(shown, before + after, from_us, to_us).flawless
    seconds = [second for second, _ in shown]
    assert max(b - a for a, b in itertools.pairwise(seconds)) < 1
    async with clips.clips.plan(from_us, to_us) as plan:
        first, second = plan.ranges
        assert first.from_us == from_us
        assert before[-1] < first.to_us < before[-1] + US
        assert second == Range(after[0], to_us)


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_clip_that_starts_and_ends_in_gaps_holds_what_is_between(
    cutter: OpenOver, tmp_path: Path, container: str
) -> None:
    runs = [capture_times(2.5, START_US + n * 20 * US, seed=n) for n in range(3)]
    for run in runs:
        await record(tmp_path, run)
    clips = await cutter(tmp_path)
    found = await check(clips, [t for run in runs for t in run], START_US + 10 * US, START_US + 30 * US, container)
    assert found.shown == len(runs[1])


@some("container", CONTAINERS, 1)
async def test_a_clip_over_a_change_of_frame_size_holds_all_frames_in_one_size(
    cutter: OpenOver, tmp_path: Path, container: str
) -> None:
    small, large = capture_times(2.5), capture_times(2.5, START_US + 2_600_000, seed=1)
    await record(tmp_path, small, size=(320, 180))
    await record(tmp_path, large, size=(480, 300))
    clips = await cutter(tmp_path)
    painted = [(320, 180)]
    await check(clips, small + large, small[3], large[-3], container, painted=painted)
    await check(clips, small + large, small[-1], large[0] + 1, container, painted=painted)
    await check(clips, small + large, START_US - US, START_US + 9 * US, container, painted=painted)
    for to_us in (large[0], large[8]):
        clip = await clips.cut(small[3], to_us, container)
        assert abs(length_us(clip) - (to_us - small[3])) <= MAX_DRIFT_MS * 1000


async def test_a_clip_over_a_change_of_codec_holds_all_frames(cutter: OpenOver, tmp_path: Path) -> None:
    first, second = capture_times(2.5), capture_times(2.5, START_US + 4 * US, seed=1)
    await record(tmp_path, first, encoder=H265)
    await record(tmp_path, second, encoder=H264)
    clips = await cutter(tmp_path)
    await check(clips, first + second, first[3], second[-3], gaps=True)


@some_combinations(codec=["libx264", "libx265"], container=CONTAINERS)
async def test_runs_with_different_encoder_settings_decode_without_errors_in_one_clip(
    cutter: OpenOver, tmp_path: Path, binary: str, codec: str, container: str
) -> None:
    """Each preset has its own parameter sets, without which its frames would decode to garbage."""
    presets = ["ultrafast", "medium", "superfast"]
    runs = [capture_times(2.2, START_US + round(n * 2.3 * US), seed=n) for n in range(3)]
    for preset, run in zip(presets, runs, strict=True):
        await record(tmp_path, run, encoder=Encoder(codec, 800_000, preset, 20))
    clips = await cutter(tmp_path)
    times = [t for run in runs for t in run]
    for first, last in [(0, -1), (5, -5), (20, 30)]:
        await check(clips, times, times[first], times[last], container, gaps=True)
    path = tmp_path / "clip.out"
    path.write_bytes(await clips.cut(times[5], times[-5], container))
    await run_ffmpeg(
        [binary, "-v", "error", "-xerror", "-err_detect", "explode", "-i", str(path), "-f", "null", "-"],
        logger=LOGGER,
    )


# Around the clip


async def test_a_segment_that_is_deleted_after_the_plan_is_in_the_clip(
    cutter: OpenOver, whole: Cutter, times: list[int]
) -> None:
    async with whole.clips.plan(times[3], times[60]) as plan, whole.clips.temporary() as output:
        for path in whole.archive.directory.glob("*.mp4"):
            path.unlink()
        await whole.clips.cut(plan, output)
        assert check_clip(read_clip(output), times, times[3], times[60]).flawless


async def test_a_clip_has_its_start_and_its_own_comment_as_tags(
    whole: Cutter, times: list[int], tmp_path: Path
) -> None:
    for comment in ("", "seen at the gate; #1 = \\ 'x'\n\"second line\""):
        output = tmp_path / "clip.mp4"
        async with whole.clips.plan(times[3], times[9]) as plan:
            await whole.clips.cut(plan, output, comment=comment)
        with av.open(str(output)) as container:
            assert container.metadata.get("comment", "") == comment
            assert container.metadata["creation_time"].startswith("2024-08-30T06:40:00.")
        output.unlink()


async def test_nothing_is_left_in_the_work_directory(whole: Cutter, times: list[int], tmp_path: Path) -> None:
    work = whole.archive.directory / WORK_DIRECTORY
    await whole.cut(times[3], times[30], "fmp4")
    async with whole.clips.plan(times[3], times[9]) as plan:
        broken = clips_of(whole.archive, "/nowhere/ffmpeg")
        with pytest.raises(FFmpegError):
            await broken.cut(plan, tmp_path / "clip.mp4")
    assert list(work.iterdir()) == []
    (work / "left-by-a-killed-process").mkdir()
    Workspaces(work).sweep()
    assert not work.exists()
    await check(whole, times, times[3], times[30])


async def test_a_cancelled_cut_leaves_nothing(whole: Cutter, times: list[int], tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    async with whole.clips.plan(times[3], times[30]) as plan:
        cutting = asyncio.create_task(whole.clips.cut(plan, output))
        await asyncio.sleep(0.005)
        cutting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cutting
    assert not output.exists()
    assert list((whole.archive.directory / WORK_DIRECTORY).iterdir()) == []


async def test_clips_are_exact_with_what_the_index_alone_knows_after_a_restart(
    tmp_path: Path, cutter: OpenOver
) -> None:
    """Nothing else that the recorder knew is needed."""
    times = capture_times(4.5)
    await record(tmp_path, times)
    await take_over(tmp_path)
    archive = await Archive.open(tmp_path, LOGGER)
    await archive.close()
    await check(await cutter(tmp_path), times, times[2], times[-2])


async def test_a_clip_that_cannot_be_made_for_its_workspace_says_so(
    whole: Cutter, recording: Path, tmp_path: Path
) -> None:
    begin_us, end_us = segment_starts(recording)[:2]
    async with whole.clips.plan(begin_us, end_us) as plan:
        assert plan.work is not None and not plan.work_bytes
        for name in (TAGS, "list.txt"):  # nothing can be written there, as on a disk that fails just now
            (plan.work / name).mkdir()
        with pytest.raises(VideoStoreError) as failed:
            await whole.clips.cut(plan, tmp_path / "clip.mp4")
        assert (failed.value.code, failed.value.fields["path"]) == ("clip-not-written", plan.work)
