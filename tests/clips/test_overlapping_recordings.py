"""Clips of seconds that two programs recorded: all frames of both are in them, each once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import at_most, cut_short
from tests.support.cut_check import OpenOver
from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.recording import SIZE, START_US, US, Cutter, capture_times, record, take_over
from videostore.base.errors import NothingStoredError
from videostore.store.store import VideoStore

FIRST_S = START_US // US
"""The second in which the recordings begin. Other programs date their files by seconds."""


async def other_recording(directory: Path, second: int, frames: int, coding: str = "h264 baseline") -> list[int]:
    """A file of another program that begins so many seconds later. Returns the times of its frames."""
    begin_us = (FIRST_S + second) * US
    times = [begin_us + number * FRAME_US for number in range(frames)]
    await write_foreign_video(directory / f"{FIRST_S + second}.mp4", times, CODINGS[coding])
    return times


async def shown(clips: Cutter, from_us: int, to_us: int, container: str = "mp4") -> list[int]:
    """The frames of a clip, sorted: one recording comes after the other."""
    try:
        clip = await clips.cut(from_us, to_us, container)
    except NothingStoredError:
        return []
    return sorted(frame.captured_us if frame else 0 for _, frame in read_clip(clip, [SIZE]))


async def test_what_another_program_recorded_after_our_recording_began_is_in_every_clip(
    cutter: OpenOver, tmp_path: Path
) -> None:
    times = await other_recording(tmp_path, 1, 20)
    ours = capture_times(3, START_US + 2_400_000)
    await record(tmp_path, ours)
    clips = await cutter(tmp_path)
    for from_us, to_us in ((ours[0], ours[9]), (ours[0], times[-1]), (times[0], times[-2]), (times[-3], times[-1])):
        expected = sorted(one for one in times + ours if from_us <= one < to_us)
        assert await shown(clips, from_us, to_us) == expected, (from_us - START_US, to_us - START_US)


@pytest.mark.exhaustive
async def test_a_stream_that_is_encoded_window_by_window_has_all_frames_of_runs_that_overlap(tmp_path: Path) -> None:
    """Another program's file makes it one of several formats. A clip has all of the first run before the second."""
    frames = await other_recording(tmp_path, 2, 27)
    for start_us, seconds in ((2_429_605, 4.3), (4_547_726, 3.2)):
        run = capture_times(seconds, START_US + start_us, seed=start_us)
        await record(tmp_path, run)
        frames += run
    await take_over(tmp_path)
    async with VideoStore.open(tmp_path) as store:
        for from_us in sorted(frames)[::7]:
            stream = b"".join([block async for block in store._send_video(from_us, max(frames) + 1)])
            found = [frame.captured_us if frame else 0 for _, frame in read_clip(stream, [SIZE])]
            assert sorted(found) == sorted(one for one in frames if one >= from_us), from_us - START_US


@cut_short
async def test_any_range_of_recordings_that_overlap_has_each_frame_once(cutter: OpenOver, tmp_path: Path) -> None:
    for seed in range(at_most(30, 2)):
        dice, directory = random.Random(seed), tmp_path / str(seed)
        frames: list[int] = []
        for _ in range(dice.randint(1, 2)):
            ours = capture_times(dice.uniform(2, 5), START_US + round(dice.uniform(0, 5) * US), seed=dice.randrange(99))
            await record(directory, ours, segment_seconds=dice.choice([1, 2]))
            frames += ours
        for second in dice.sample(range(8), dice.randint(1, 3)):
            coding = dice.choice(["h264 baseline", "h264 B frames"])
            frames += await other_recording(directory, second, dice.randint(5, 30), coding)
        clips, edges = await cutter(directory), [time_us + dice.choice([-1, 0, 0, 1]) for time_us in frames]
        for container in ("mp4", "fmp4") * at_most(12, 4):
            from_us = dice.choice(edges)
            to_us = from_us + 1 + round(dice.uniform(0, dice.choice([0.3, 1.2, 5])) * US)
            expected = sorted(one for one in frames if from_us <= one < to_us)
            place = seed, container, from_us - START_US, to_us - START_US
            assert await shown(clips, from_us, to_us, container) == expected, place
