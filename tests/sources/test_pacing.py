from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.coding import write_video
from tests.support.inputs import (
    NetworkCamera,
    SteppedClock,
    Tap,
    dated_alike,
    distances,
    open_input,
    painted_times,
    playing,
)
from tests.support.pacing import Arriving, Frames, each
from tests.support.recording import SMALL, START_US, US, FixedClock, capture_times, until
from videostore.base.clock import SteadyClock
from videostore.media.packet import StreamFormat
from videostore.sources.handover import CodedFrame
from videostore.sources.input_profile import InputFault
from videostore.sources.pacing import pace_live


async def test_a_live_input_that_ends_while_it_settles_yields_all_its_frames() -> None:
    """The smallest delay dates them all: the first frame was 300 ms late."""
    format, clock = StreamFormat("h264", *SMALL), FixedClock(wall=START_US)
    delays_us = (300_000, 40_000, 60_000)
    first, *others = (
        CodedFrame(format, b"x", n * 50_000, START_US + n * 50_000 + delay_us, 0, n == 0)
        for n, delay_us in enumerate(delays_us)
    )
    paced = pace_live(Frames(others), first, SteadyClock(clock), patience_s=1)
    dated = [(one.frame.pts_us, one.captured_us) async for one in each(paced)]
    assert dated == [(n * 50_000, START_US + 40_000 + n * 50_000) for n in range(3)]


@pytest.mark.parametrize(
    ("arrived_ms", "opened_ms", "expected_ms"),
    [
        ((0, 1, 2, 102, 202, 302), -1000, (-198, -98, 2, 102, 202, 302)),  # three that ffmpeg looked at
        ((0, 1, 2, 102, 202, 302), -98, (-98, -48, 2, 102, 202, 302)),  # which cannot have come before it looked
        ((0, 100, 101, 200, 300), -1000, (0, 100, 101, 200, 300)),  # later ones keep when they came
        ((0, 1, 2), -1000, (0, 1, 2)),
        ((0,), -1000, (0,)),
    ],
)
async def test_frames_that_are_dated_by_arrival_and_came_at_once_at_first_get_the_usual_distance(
    arrived_ms: tuple[int, ...], opened_ms: int, expected_ms: tuple[int, ...]
) -> None:
    format, clock = StreamFormat("h264", *SMALL), FixedClock(wall=START_US)
    first, *others = (CodedFrame(format, b"x", ms * 1000, START_US + ms * 1000, 0, ms == 0) for ms in arrived_ms)
    opened_us = START_US + opened_ms * 1000
    paced = pace_live(Frames(others), first, SteadyClock(clock), patience_s=1, opened_us=opened_us)
    assert tuple([one.captured_us - START_US async for one in each(paced)]) == tuple(ms * 1000 for ms in expected_ms)


@pytest.mark.parametrize(
    ("pts_us", "expected"),
    [
        ((0, 11, 50_000, 100_000), (-49_983, 11, 50_000, 100_000)),  # as ffmpeg passes on the first of GStreamer's
        ((0, 40_000, 90_000, 140_000), (0, 40_000, 90_000, 140_000)),
        ((0, 11), (0, 11)),  # how far they are apart is not known
    ],
)
async def test_a_first_frame_without_a_time_of_its_own_comes_one_interval_before_the_second(
    pts_us: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    format, clock = StreamFormat("h264", *SMALL), FixedClock(wall=START_US)
    first, *others = (CodedFrame(format, b"x", pts, START_US + 100_000 + pts, 0, pts == 0) for pts in pts_us)
    paced = pace_live(Frames(others), first, SteadyClock(clock), patience_s=1)
    assert tuple([one.frame.pts_us async for one in each(paced)]) == expected


async def test_late_frames_are_dated_like_the_others(binary: str, camera: NetworkCamera) -> None:
    camera.delay_s = lambda number: 0.0 if number % 5 else 0.15
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    async with playing(source):
        await dated_alike(source, 40, 30_000)
    assert all(step > 0 for step in distances(source.times_us))


async def test_what_a_network_delays_for_a_few_seconds_is_not_lost() -> None:
    clock, format = FixedClock(wall=START_US), StreamFormat("h264", *SMALL)
    steady, step_us = SteadyClock(clock), 50_000
    frames = [CodedFrame(format, b"x", n * step_us, START_US + n * step_us, 0, n == 0, None) for n in range(60)]
    late = START_US + 70 * step_us
    frames = [one._replace(arrived_us=late) if number >= 20 else one for number, one in enumerate(frames)]
    paced = pace_live(Arriving(frames[1:], clock), frames[0], steady, patience_s=1)
    dated = [one.captured_us async for one in each(paced)]
    assert len(dated) == 60  # as late as the clocks may have drifted meanwhile
    assert max(abs(one - dated[0] - n * step_us) for n, one in enumerate(dated)) < 3000


async def test_frames_that_are_missing_for_seconds_make_a_gap() -> None:
    clock, format = FixedClock(wall=START_US), StreamFormat("h264", *SMALL)
    times = [*range(0, 1_000_000, 50_000), 4_000_000]
    frames = [CodedFrame(format, b"x", one, START_US + one, 0, one == 0, None) for one in times]
    with pytest.raises(InputFault, match="no frame for 2 s"):
        async for _ in each(pace_live(Arriving(frames[1:], clock), frames[0], SteadyClock(clock), patience_s=1)):
            pass


async def test_a_camera_that_sends_no_frames_makes_a_gap_after_some_seconds(binary: str, camera: NetworkCamera) -> None:
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        camera.sending.clear()
        silent = time.monotonic()
        await until(lambda: source.gaps)
        assert time.monotonic() - silent > 4  # not reported too early
        before = len(source.packets_seen)
        camera.sending.set()
        await until(lambda: len(source.packets_seen) > before)
    assert "no frame for 4.5 s" in source.gaps[0].reason


async def test_a_camera_whose_timestamps_jump_makes_a_gap_and_is_dated_from_scratch(
    binary: str, camera: NetworkCamera
) -> None:
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        camera.ahead_us = 7 * US
        await until(lambda: source.gaps)
        before = len(source.packets_seen)
        await until(lambda: len(source.packets_seen) >= before + 5)
    assert "its timestamps jumped" in source.gaps[0].reason
    for packets in (source.packets_seen[:before], source.packets_seen[before:]):
        off_us = [one.captured_us - true for one, true in zip(packets, painted_times(packets), strict=True)]
        assert min(off_us) >= 0 and max(off_us) < US


@pytest.mark.parametrize("step_s", [-3600, 3600])
@pytest.mark.parametrize("live", [True, False])
async def test_a_step_of_the_clock_is_followed(
    tmp_path: Path, binary: str, camera: NetworkCamera, live: bool, step_s: int
) -> None:
    times = capture_times(3, fps=20, seed=None)
    write_video(tmp_path / "input.mp4", "h264", times)
    await camera.start()
    clock = SteppedClock()
    if live:
        source = Tap(open_input(camera.url, binary, format="mpegts", clock=clock))
    else:
        source = Tap(open_input(tmp_path / "input.mp4", binary, clock=clock))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        clock.ahead_us = step_s * US
        await until(lambda: any(abs(step) > 2 * US for step in distances(source.times_us)))
        seen = len(source.packets_seen)
        await until(lambda: len(source.packets_seen) >= seen + 5)
    steps = distances(source.times_us)
    assert [step for step in steps if abs(step) > 2 * US] == [pytest.approx(step_s * US, abs=US)]
    assert sum(step <= 0 for step in steps) == (step_s < 0)  # apart from the step, time runs forward
    assert abs(source.times_us[-1] - clock.wall_us()) < 2 * US
