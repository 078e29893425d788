"""The wall clock is set forward or back, or starts in 1970: no frame is lost."""

from __future__ import annotations

import asyncio
import base64
import contextlib

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some, some_combinations
from tests.support.clocked_recording import HOUR_S, ClockedRecording, StartClocked
from tests.support.recording import (
    START_US,
    US,
    until,
)
from videostore.base.errors import VideoStoreError
from videostore.media.fmp4 import read_fragments
from videostore.storage.open_segments import COVER_TIMEOUT_S
from videostore.viam.commands import execute

STEPS_S = {
    "an hour forward": HOUR_S,
    "an hour back": -HOUR_S,
    "back by 150 ms": -0.15,
    "back by a second": -1.0,
    "back to just before the start of a segment": -2.05,
    "back to the middle of the run": -3.3,
    "back to the first second of the run": -5.9,
    "back to before the run": -7.7,
}


some_stepped = some_combinations(step_s=list(STEPS_S.values()))


async def record_around_step(clocked: ClockedRecording, step_s: float) -> None:
    """Record six seconds, step the clock without a pause, record six more; then two hours pass."""
    await clocked.record(6)
    clocked.step(step_s)
    await clocked.record(6)
    await clocked.pause()
    clocked.clock.advance(2 * HOUR_S)


@some_stepped
async def test_every_frame_before_and_after_a_clock_step_can_be_fetched(
    start_clocked: StartClocked, step_s: float
) -> None:
    clocked = await start_clocked()
    await record_around_step(clocked, step_s)
    await clocked.check_all(clocked.store)
    await clocked.check_state(clocked.store)
    clocked.check_unchanged()
    recorder = clocked.store.health().recorder
    assert recorder is not None and (recorder.dropped_frames, recorder.ffmpeg_restarts) == (0, 0)


@some_stepped
async def test_a_restart_after_a_clock_step_finds_the_same_with_and_without_the_index(
    start_clocked: StartClocked, step_s: float
) -> None:
    clocked = await start_clocked()
    await record_around_step(clocked, step_s)
    state = await clocked.store.state()
    await clocked.stores.close()
    for lost in (False, True):
        if lost:
            for path in clocked.stores.storage.glob("index.sqlite.db*"):
                path.unlink()
        again = await clocked.stores.open(clock=clocked.clock)
        await until(lambda again=again: again.health().segments == len(clocked.closed))  # type: ignore[misc]
        assert (await again.state()).ranges == state.ranges
        await clocked.check_state(again)
        for run in clocked.runs:
            await clocked.check(again, run[3], run[-3])
        await clocked.stores.close()
        clocked.check_unchanged()


@some_stepped
async def test_after_a_clock_step_the_quota_deletes_the_oldest_recording(
    start_clocked: StartClocked, step_s: float
) -> None:
    clocked = await start_clocked()
    await record_around_step(clocked, step_s)
    await clocked.stores.close()
    by_age = clocked.oldest_first()
    kept = by_age[len(by_age) // 2 :]
    quota_bytes = sum(path.stat().st_size for path in kept)
    clocked.closed = {path.name: clocked.closed[path.name] for path in kept}
    store = await clocked.stores.open(clock=clocked.clock, size_gb=(quota_bytes + 0.5) / 2**30)
    await until(lambda: store.health().segments == len(kept))
    assert clocked.oldest_first() == kept
    clocked.check_unchanged()
    left = {t for path in kept for t in read_fragments(path).times_us}
    clocked.runs = [[t for t in run if t in left] for run in clocked.runs]
    clocked.runs = [run for run in clocked.runs if run]
    for run in clocked.runs:
        await clocked.check(store, run[0], run[-1] + 1)


async def test_footage_from_before_the_clock_was_set_back_can_be_fetched_at_once(start_clocked: StartClocked) -> None:
    """By the new clock it lies in the future; the state lists it and it can be fetched."""
    clocked = await start_clocked()
    before = await clocked.record(4)
    clocked.step(-HOUR_S)
    after = await clocked.record(4)
    await clocked.pause()
    await clocked.check(clocked.store, after[3], after[-3])
    await clocked.check_state(clocked.store)
    await clocked.check(clocked.store, before[3], before[-3])
    clip = await clocked.store.save(before[3], before[-3], metadata="before")
    assert [frame.captured_us for _, frame in read_clip(clip.path) if frame] == before[3:-3]


async def test_a_clock_set_back_twice_over_the_same_seconds_leaves_three_recordings_of_them(
    start_clocked: StartClocked,
) -> None:
    clocked = await start_clocked()
    await clocked.record(5)
    for _ in range(2):
        clocked.step(-4.3)
        await clocked.record(5)
    await clocked.pause()
    clocked.clock.advance(HOUR_S)
    await clocked.check_all(clocked.store)
    await clocked.check_state(clocked.store)
    assert len({read_fragments(path).comment for path in clocked.oldest_first()}) == 3


async def test_the_clock_can_be_set_back_and_forth_while_recording(start_clocked: StartClocked) -> None:
    clocked = await start_clocked()
    for step_s in (0, HOUR_S, -HOUR_S, 0.3, -0.3, -86_400, 86_400):
        clocked.step(step_s)
        await clocked.record(1.5)
    await clocked.pause()
    clocked.clock.advance(2 * HOUR_S)
    for run in clocked.runs:
        await clocked.check(clocked.store, run[0], run[-1] + 1)
    await clocked.check_state(clocked.store)


async def test_a_machine_that_starts_in_1970_keeps_what_it_recorded_before_and_after_its_clock_is_set(
    start_clocked: StartClocked,
) -> None:
    """As a machine without a real-time clock does until it has a network."""
    clocked = await start_clocked(60 * US)
    years_s = (START_US - 60 * US) / US
    first = await clocked.record(5, painted_later_s=years_s - 86_400)
    await clocked.check(clocked.store, first[2], first[-25])
    clocked.step(years_s)
    second = await clocked.record(5)
    await clocked.pause()
    clocked.clock.advance(HOUR_S)
    await clocked.check_all(clocked.store)
    await clocked.check_state(clocked.store)
    names = sorted(int(name.removesuffix(".mp4")) for name in clocked.closed)
    assert names[:3] == [60, 62, 64] and names[3] == second[0] // US
    request = {"command": "fetch", "from": "1970-01-01_00-00-00Z", "to": "1970-01-01_00-02-00Z"}
    answer = await execute(clocked.store, request)
    assert [f.captured_us for _, f in clocked.frames_of(base64.b64decode(answer["video"])) if f] == first
    await clocked.stores.close()
    size_gb = sum(path.stat().st_size for path in clocked.oldest_first()[3:]) / 2**30
    store = await clocked.stores.open(clock=clocked.clock, size_gb=size_gb + 1e-9)
    await until(lambda: len(list(clocked.stores.storage.glob("*.mp4"))) == store.health().segments == 3)
    await clocked.check(store, second[0], second[-1] + 1)


async def test_a_machine_that_restarts_in_1970_can_still_fetch_its_older_recording(start_clocked: StartClocked) -> None:
    clocked = await start_clocked()
    before = await clocked.record(4)
    await clocked.stores.close()
    clocked.check_unchanged()
    clocked.clock.wall = 30 * US
    clocked.store = await clocked.stores.open(clocked.feed, clock=clocked.clock)
    first = await clocked.record(4, painted_later_s=(START_US - 86_400 * US) / US)
    await clocked.pause()
    await clocked.check(clocked.store, first[0], first[-1])
    await clocked.check_state(clocked.store)
    await clocked.check(clocked.store, before[0], before[-1])


async def test_an_asynchronous_save_up_to_now_is_made_although_the_clock_is_set_back(
    start_clocked: StartClocked,
) -> None:
    """The recording reaches the end of the range an hour later; the clip is made after a minute."""
    clocked = await start_clocked()
    before = await clocked.record(4)
    clip = await clocked.store.save(before[5], clocked.clock.wall, metadata="motion", wait=False)
    clocked.step(-HOUR_S)
    await clocked.record(2)
    clocked.clock.advance(COVER_TIMEOUT_S)
    await until(lambda: clocked.store.health().pending_saves == 0)
    assert (await clocked.store.save_status(clip.file_name)).reason == ""
    assert [frame.captured_us for _, frame in read_clip(clip.path) if frame] == before[5:-1]


async def test_an_asynchronous_save_up_to_now_does_not_wait_when_the_clock_is_set_forward(
    start_clocked: StartClocked,
) -> None:
    clocked = await start_clocked()
    before = await clocked.record(4)
    clip = await clocked.store.save(before[5], clocked.clock.wall, wait=False)
    clocked.step(HOUR_S)
    await clocked.record(1)
    await until(lambda: clocked.store.health().pending_saves == 0)
    assert [frame.captured_us for _, frame in read_clip(clip.path) if frame] == before[5:-1]


async def test_the_age_of_the_last_frame_is_never_negative(start_clocked: StartClocked) -> None:
    """No image arrives any more, and the clock is set back."""
    clocked = await start_clocked()
    await clocked.record(2)
    await until(lambda: clocked.store.health().recorder.last_frame_age_s is not None)  # type: ignore[union-attr]
    clocked.step(-HOUR_S)
    clocked.clock.advance(3)
    recorder = clocked.store.health().recorder
    assert recorder is not None and recorder.last_frame_age_s is not None
    assert 0 <= recorder.last_frame_age_s < 10


@some("step_s", [HOUR_S, -3.3, 0, -HOUR_S], 2)
async def test_a_video_that_follows_the_recording_is_right_up_to_a_step_back_and_names_it(
    start_clocked: StartClocked, step_s: float
) -> None:
    clocked = await start_clocked()
    first = await clocked.record(6)
    clip, came = b"", asyncio.Event()

    async def follow() -> None:
        nonlocal clip
        begin_us, end_us = first[0], first[-1] + round((2 * HOUR_S) * US)
        async with contextlib.aclosing(clocked.store._send_video(begin_us, end_us, follow=True)) as blocks:
            async for block in blocks:
                clip += block
                came.set()

    following = asyncio.ensure_future(follow())
    await asyncio.wait_for(came.wait(), 150)
    clocked.step(step_s)
    second = await clocked.record(6)
    if step_s < 0:
        with pytest.raises(VideoStoreError) as error:
            await asyncio.wait_for(following, 150)
        assert error.value.code == "stream-clock-set-back"
        assert error.value.fields["at_us"] == pytest.approx(second[0], abs=US)
    else:
        await clocked.pause()
        clocked.clock.advance(3 * HOUR_S)
        await asyncio.wait_for(following, 150)
    shown = [frame.captured_us for _, frame in clocked.frames_of(clip) if frame is not None]
    assert shown == [*first, *second][: len(shown)] and len(shown) > len(first) / 2
    assert step_s < 0 or len(shown) == len(first) + len(second)
