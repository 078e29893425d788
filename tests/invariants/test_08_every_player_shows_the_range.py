"""Invariant 8: whatever player shows a clip, it shows frames of [from, to) alone: none is hidden by an edit list."""

from __future__ import annotations

import io
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import av
import pytest

from scripts.fakes.clip_check import PaintReader, luma
from tests.support.amount import at_most, cut_short, each_value, some, some_combinations
from tests.support.coding import coded_packets, record_coded
from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.recording import H264, H265, SMALL, START_US, US, Cutter, capture_times, record
from videostore.ffmpeg.encoder import Encoder

OpenOver = Callable[[Path], Awaitable[Cutter]]
CONTAINERS = ["mp4", "fmp4"]
FOREIGN_US = START_US // US * US
"""Files of other programs begin at the second in their name."""


def captured(clip: bytes, *, ignore_edit_list: bool) -> list[int | None]:
    """The painted capture times of all frames of a clip, in the order in which they are decoded for showing."""
    reader = PaintReader([None])
    with av.open(io.BytesIO(clip), options={"ignore_editlist": str(int(ignore_edit_list))}) as container:
        stream = container.streams.video[0]
        found = [reader.read(luma(frame)) for frame in container.decode(stream)]
    return [frame.captured_us if frame else None for frame in found]


async def check(cutter: Cutter, times: Sequence[int], from_us: int, to_us: int, container: str) -> bytes:
    """Cut a clip, which must show every frame of its range and no other, with and without its edit list."""
    clip = await cutter.cut(from_us, to_us, container)
    expected = [time_us for time_us in times if from_us <= time_us < to_us]
    for ignored in (False, True):
        shown = captured(clip, ignore_edit_list=ignored)
        assert shown == expected, (
            f"[{from_us - times[0]}, {to_us - times[0]}) {ignored=}: "
            f"{[t and t - times[0] for t in shown]} instead of {[t - times[0] for t in expected]}"
        )
    return clip


def ranges(times: Sequence[int], count: int, seed: int) -> list[tuple[int, int]]:
    """Ranges of some frames, of one, and of 0.1 s; they begin and end on frames and between them."""
    dice = random.Random(seed)
    found = [(times[7], times[8]), (times[3] + 1, times[-2] + 1)]
    while len(found) < count:
        first, last = sorted(dice.sample(range(len(times)), 2))
        found.append((times[first] - dice.choice([0, 1]), times[last] + dice.choice([0, 1])))
    return found


@cut_short
@some_combinations(encoder=[H264, H265, Encoder("libx264", 1_000_000, "medium", 20)], container=CONTAINERS)
async def test_of_a_recording_that_we_encoded(
    cutter: OpenOver, tmp_path: Path, encoder: Encoder, container: str
) -> None:
    times = capture_times(4)
    await record(tmp_path, times, encoder=encoder)
    clips = await cutter(tmp_path)
    for from_us, to_us in ranges(times, at_most(5, 3), 1):
        await check(clips, times, from_us, to_us, container)


@cut_short
@some_combinations(codec=["h264", "hevc"], container=CONTAINERS)
async def test_of_a_stream_that_a_camera_encoded(cutter: OpenOver, tmp_path: Path, codec: str, container: str) -> None:
    times = capture_times(6)
    await record_coded(tmp_path, coded_packets(times, codec, gop=25))
    clips = await cutter(tmp_path)
    for from_us, to_us in ranges(times, at_most(6, 4), 2):
        await check(clips, times, from_us, to_us, container)


@cut_short
@each_value(coding=list(CODINGS), container=CONTAINERS)
async def test_of_files_that_other_programs_wrote(
    cutter: OpenOver, tmp_path: Path, coding: str, container: str
) -> None:
    times = []
    for number in range(2):
        begin_us = FOREIGN_US + number * 4 * US
        part = [begin_us + n * FRAME_US for n in range(40)]
        await write_foreign_video(tmp_path / f"{begin_us // US}.mp4", part, CODINGS[coding])
        times += part
    clips = await cutter(tmp_path)
    some = ranges(times, 6, CONTAINERS.index(container) + 3)
    for from_us, to_us in [(times[5], times[22]), (times[12], times[61]), *some][: at_most(8, 2)]:
        await check(clips, times, from_us, to_us, container)


@some("coding", ["h264 B frames", "h265 open GOP", "h264 open GOP", "h265 B frames"], 2)
async def test_of_ranges_that_end_soon_after_a_keyframe(cutter: OpenOver, tmp_path: Path, coding: str) -> None:
    """Where frames are decoded before they are shown, the end of such a copy comes before its start."""
    times = [FOREIGN_US + n * FRAME_US for n in range(40)]
    await write_foreign_video(tmp_path / f"{FOREIGN_US // US}.mp4", times, CODINGS[coding])
    clips = await cutter(tmp_path)
    for first, last in [(14, 16), (13, 17), (14, 18), (28, 31), (28, 32), (15, 16)]:
        await check(clips, times, times[first], times[last], "mp4")


@pytest.mark.parametrize("container", CONTAINERS)
async def test_of_a_slow_camera_whose_size_changes(cutter: OpenOver, tmp_path: Path, container: str) -> None:
    """Its bytes per second are few, and all of them are those of keyframes."""
    slow = capture_times(30, fps=0.3)
    await record_coded(tmp_path, coded_packets(slow, "h264", gop=12))
    times = [*slow, *capture_times(2, slow[-1] + US)]
    await record(tmp_path, times[len(slow) :])
    clips = await cutter(tmp_path)
    clip = await clips.cut(times[1], times[-1], container)
    reader = PaintReader([None, SMALL])
    with av.open(io.BytesIO(clip)) as opened:
        shown = [reader.read(luma(frame)) for frame in opened.decode(video=0)]
    assert [frame and frame.captured_us for frame in shown] == times[1:-1]
