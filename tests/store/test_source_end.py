"""Sources that end, fail or stop: what came of them is recorded to its last frame, however slow ffmpeg is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import videostore
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.feeding import all_at_once
from tests.support.recording import START_US, US, capture_times, packet, until
from videostore import (
    Gap,
    Packet,
    VideoStore,
)
from videostore.base.errors import VideoStoreError
from videostore.recording.run import Run


async def test_a_source_that_ends_is_recorded_to_its_last_frame_however_fast_it_is(tmp_path: Path) -> None:
    times = capture_times(20, fps=20)
    store = VideoStore.record(tmp_path / "door", all_at_once(times), size_gb=1, segment_seconds=4, live=False)
    async with store:
        await asyncio.wait_for(store.ended(), 150)
        recorder = store.health().recorder
        assert recorder is not None and not recorder.recording and recorder.dropped_frames == 0
        assert recorder.reason == "the source ended"
        assert not list((tmp_path / "door").glob("*.open"))
        clip = await store.fetch(times[0], times[-1] + 1)
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless
    assert psutil.Process().children() == []


class Silenced:
    """A source that sends nothing any more, until it is told to end."""

    def __init__(self, times: list[int]) -> None:
        self._times = times
        self._ending = asyncio.Event()

    def end(self) -> None:
        self._ending.set()

    @property
    def told_to_end(self) -> bool:
        return self._ending.is_set()

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        async for one in all_at_once(self._times):
            yield one
        await self._ending.wait()


async def test_a_source_that_is_told_to_end_while_it_sends_nothing_was_stopped(tmp_path: Path) -> None:
    silenced = Silenced(capture_times(2))
    async with VideoStore.record(tmp_path / "door", silenced, size_gb=1) as store:
        await until(lambda: (found := store.health().recorder) is not None and found.recorded_frames > 0)
        silenced.end()
        await asyncio.wait_for(store.ended(), 150)
        recorder = store.health().recorder
        assert recorder is not None and recorder.reason == "the recorder was stopped"


async def test_packets_of_a_live_source_that_is_too_fast_are_dropped_and_counted(tmp_path: Path) -> None:
    times = capture_times(20, fps=20)
    async with VideoStore.record(tmp_path / "door", all_at_once(times), size_gb=1) as store:
        await asyncio.wait_for(store.ended(), 150)
        recorder = store.health().recorder
        assert recorder is not None and recorder.dropped_frames > 0
        clip = await store.fetch(times[0], times[-1] + 1)
    assert len(read_clip(clip.data)) == len(times) - recorder.dropped_frames


async def test_gaps_of_an_iterable_are_gaps_of_the_recording(tmp_path: Path) -> None:
    times = [*capture_times(2), *capture_times(2, START_US + 60 * US)]

    async def packets() -> AsyncIterator[Packet | Gap]:
        for time_us in times:
            if time_us == START_US + 60 * US:
                yield Gap("the camera was away")
            yield packet(time_us)

    async with VideoStore.record(tmp_path / "door", packets(), size_gb=1, live=False) as store:
        await asyncio.wait_for(store.ended(), 150)
        assert [one.from_us for one in (await store.state()).ranges] == [START_US, START_US + 60 * US]


async def test_an_iterable_that_fails_ends_the_recording_and_what_came_before_is_kept(tmp_path: Path) -> None:
    times = capture_times(2)

    async def packets() -> AsyncIterator[Packet | Gap]:
        async for one in all_at_once(times):
            yield one
        raise RuntimeError("the camera burned")

    async with VideoStore.record(tmp_path / "door", packets(), size_gb=1, live=False) as store:
        with pytest.raises(videostore.VideoStoreError, match="The source failed: the camera burned"):
            await asyncio.wait_for(store.ended(), 150)
        clip = await store.fetch(times[0], times[-1] + 1)
    assert len(read_clip(clip.data)) == len(times)


def ffmpeg_of(store: VideoStore) -> psutil.Process:
    run = store._run
    assert run is not None
    return psutil.Process(run._process.pid)


async def test_nothing_of_a_source_that_can_wait_is_lost_when_ffmpeg_is_killed(tmp_path: Path) -> None:
    times = capture_times(30, fps=20)

    async def packets() -> AsyncIterator[Packet | Gap]:
        for number, time_us in enumerate(times):
            yield packet(time_us)
            if number in (150, 400, len(times) - 1):
                ffmpeg_of(store).kill()

    store = VideoStore.record(
        tmp_path / "door", packets(), size_gb=1, segment_seconds=4, preset="ultrafast", live=False
    )
    async with store:
        await asyncio.wait_for(store.ended(), 150)
        recorder = store.health().recorder
        assert recorder is not None and recorder.dropped_frames == 0 and recorder.ffmpeg_restarts >= 2
        clip = await store.fetch(times[0], times[-1] + 1)
    check = check_clip(read_clip(clip.data), times, times[0], times[-1] + 1)
    assert (check.shown, check.doubled, check.missing_inside, check.missing_after) == (len(times), 0, (), ())


async def test_an_ffmpeg_that_is_slow_at_the_end_of_a_source_is_waited_for(tmp_path: Path) -> None:
    times = capture_times(3, fps=20)

    async def packets() -> AsyncIterator[Packet | Gap]:
        async for one in all_at_once(times):
            yield one
        process = ffmpeg_of(store)
        process.suspend()
        asyncio.get_running_loop().call_later(3, process.resume)

    store = VideoStore.record(tmp_path / "door", packets(), size_gb=1, live=False)
    async with store:
        await asyncio.wait_for(store.ended(), 150)
        clip = await store.fetch(times[0], times[-1] + 1)
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless


async def test_a_live_source_that_ends_has_its_slow_ffmpeg_waited_for(tmp_path: Path) -> None:
    times = capture_times(3, fps=20)

    async def packets() -> AsyncIterator[Packet | Gap]:
        async for one in all_at_once(times):
            yield one
            await asyncio.sleep(0.01)
        process = ffmpeg_of(store)
        process.suspend()
        asyncio.get_running_loop().call_later(3, process.resume)  # longer than FFMPEG_FINISH_S

    store = VideoStore.record(tmp_path / "door", packets(), size_gb=1)
    async with store:
        await asyncio.wait_for(store.ended(), 150)
        recorder = store.health().recorder
        assert recorder is not None
        clip = await store.fetch(times[0], times[-1] + 1)
    assert len(read_clip(clip.data)) == len(times) - recorder.dropped_frames


async def test_the_segment_is_finished_although_the_source_takes_long_to_close(tmp_path: Path) -> None:
    times = capture_times(3, fps=20)
    closing, closed = asyncio.Event(), asyncio.Event()

    async def packets() -> AsyncIterator[Packet | Gap]:
        try:
            async for one in all_at_once(times):
                yield one
            await asyncio.Event().wait()
        finally:
            closing.set()
            await closed.wait()

    store = VideoStore.record(tmp_path / "door", packets(), size_gb=1, live=False)
    async with store:
        await until(lambda: store._run is not None and store._run.last_us == times[-1])
        ending = asyncio.create_task(store.close())
        await closing.wait()
        (recording,) = [task for task in asyncio.all_tasks() if "StoreParts._record" in repr(task)]
        for _ in range(3):  # as `end_task` does, every few seconds
            recording.cancel()
            await asyncio.sleep(0)
        closed.set()
        await ending
    (segment,) = (tmp_path / "door").glob("*.mp4")
    assert not list((tmp_path / "door").glob("*.open")) and len(read_clip(segment)) == len(times)


async def test_an_ffmpeg_that_hangs_at_the_end_is_replaced_and_the_end_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.recording.run.FINISH_PATIENCE_S", 1.0)
    times = capture_times(3, fps=20)

    async def packets() -> AsyncIterator[Packet | Gap]:
        async for one in all_at_once(times):
            yield one
        ffmpeg_of(store).suspend()

    store = VideoStore.record(tmp_path / "door", packets(), size_gb=1, live=False)
    async with store:
        await asyncio.wait_for(store.ended(), 150)
        clip = await store.fetch(times[0], times[-1] + 1)
    check = check_clip(read_clip(clip.data), times, times[0], times[-1] + 1)
    assert (check.shown, check.doubled, check.missing_inside, check.missing_after) == (len(times), 0, (), ())


async def test_an_end_of_a_live_source_that_cannot_be_recorded_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.recording.run.FINISH_PATIENCE_S", 1.0)
    times = capture_times(0.5, fps=20)

    async def packets() -> AsyncIterator[Packet | Gap]:
        async for one in all_at_once(times):
            yield one
        while store._run is None or store._run.last_us < times[-1]:  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.01)
        ffmpeg_of(store).suspend()

    store = VideoStore.record(tmp_path / "door", packets(), size_gb=1)
    async with store:
        with pytest.raises(videostore.VideoStoreError, match="end of the source could not be recorded: ffmpeg wrote"):
            await asyncio.wait_for(store.ended(), 150)


@pytest.mark.parametrize("method", ["takes", "add", "flush", "finish"])
async def test_an_internal_error_costs_a_source_that_can_wait_no_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    times = capture_times(6, fps=20)
    original, calls = getattr(Run, method), itertools.count()
    at = 0 if method == "finish" else len(times) // 2

    def failing_once(self: Run, *arguments: Any, **named: Any) -> Any:
        if next(calls) == at:
            raise RuntimeError("a mistake")
        return original(self, *arguments, **named)

    monkeypatch.setattr(Run, method, failing_once)
    store = VideoStore.record(tmp_path / "door", all_at_once(times), size_gb=1, segment_seconds=2, live=False)
    async with store:
        await asyncio.wait_for(store.ended(), 150)
        recorder = store.health().recorder
        assert recorder is not None and recorder.dropped_frames == 0 and recorder.reason == "the source ended"
        clip = await store.fetch(times[0], times[-1] + 1)
    assert check_clip(read_clip(clip.data), times, times[0], times[-1] + 1).flawless
    assert next(calls) > at


async def test_a_frame_of_such_a_source_that_always_causes_an_internal_error_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = capture_times(6, fps=20)
    add = Run.add

    def failing(self: Run, packet: Packet) -> None:
        if packet.captured_us in (times[30], times[31]):
            raise RuntimeError("a mistake")
        add(self, packet)

    monkeypatch.setattr(Run, "add", failing)
    store = VideoStore.record(tmp_path / "door", all_at_once(times), size_gb=1, segment_seconds=2, live=False)
    async with store:
        await asyncio.wait_for(store.ended(), 150)
        recorder = store.health().recorder
        assert recorder is not None and recorder.dropped_frames == 2 and recorder.reason == "the source ended"
        clip = await store.fetch(times[0], times[-1] + 1)
    shown = [frame.captured_us for _, frame in read_clip(clip.data) if frame]
    assert shown == [one for one in times if one not in (times[30], times[31])]


async def test_a_source_that_can_wait_ends_if_every_frame_causes_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_run: Run, _packet: Packet) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Run, "add", fail)
    monkeypatch.setattr("videostore.recording.backoff.FFMPEG_BACKOFF_S", (0.01, 0.05))
    store = VideoStore.record(tmp_path / "door", all_at_once(capture_times(1)), size_gb=1, live=False)
    async with store:
        with pytest.raises(VideoStoreError, match="internal error: a mistake"):
            await asyncio.wait_for(store.ended(), 150)
