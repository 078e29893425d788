from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.coded_stream import FPS, SIZE, Coding, code
from tests.support.recording import H264, LOGGER, SMALL, START_US, US, Feed, FixedClock, capture_times, packet, until
from tests.support.size_limit import files_of_at_most
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Gap, Packet, StreamFormat
from videostore.recording.recorder import Recorder
from videostore.recording.run import Run


@dataclass
class Recording:
    """A recorder of a feed."""

    feed: Feed
    clock: FixedClock
    directory: Path
    recorder: Recorder
    task: asyncio.Task[None]
    ended: list[Run] = field(default_factory=list)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def reaches(self, time_us: int) -> None:
        """Wait until a frame is written to ffmpeg."""
        await until(lambda: self.recorder.run is not None and self.recorder.run.last_us == time_us)

    def runs(self) -> list[list[int]]:
        """Capture times in the files, by run."""
        runs: dict[str, list[int]] = {}
        for path in sorted(self.directory.glob("*.open")):
            with contextlib.suppress(NotOursError):  # it holds no frame
                content = read_fragments(path)
                runs.setdefault(content.comment, []).extend(content.times_us)
        return list(runs.values())


@pytest.fixture
async def start(tmp_path: Path, binary: str) -> AsyncIterator[Callable[..., Recording]]:
    """Starts recorders, and stops them at the end of the test."""
    started: list[Recording] = []

    async def last_stored(run: Run) -> int:
        for path in reversed(run.open_paths()):
            with contextlib.suppress(NotOursError, OSError):
                return read_fragments(path).fragments[-1].times_us[-1]
        return run.epoch_us - 1

    def begin(*items: Packet | Gap | Exception, ffmpeg: str = binary, encoder: Encoder = H264) -> Recording:
        feed, clock = Feed(*items), FixedClock(wall=START_US + 60 * US)
        ended: list[Run] = []

        async def on_run_end(run: Run) -> None:
            ended.append(run)

        recorder = Recorder(
            feed,
            encoder,
            binary=ffmpeg,
            directory=tmp_path,
            segment_seconds=2,
            clock=clock,
            logger=LOGGER,
            on_run_end=on_run_end,
            last_stored=last_stored,
        )
        feed.wait_for(lambda: recorder)
        started.append(Recording(feed, clock, tmp_path, recorder, asyncio.create_task(recorder.record()), ended))
        return started[-1]

    yield begin
    for recording in started:
        await recording.stop()
    assert psutil.Process().children() == []


Start = Callable[..., Recording]


def packets(times: list[int], size: tuple[int, int] = SMALL, mime: str = "image/jpeg") -> list[Packet]:
    return [packet(time_us, size, mime) for time_us in times]


@pytest.mark.parametrize("mime", ["image/jpeg", "image/png", "image/vnd.viam.rgba"])
async def test_every_frame_is_recorded_at_its_time_in_segments_of_the_configured_length(
    start: Start, mime: str
) -> None:
    times = capture_times(5)
    recording = start(*packets(times, mime=mime))
    await recording.reaches(times[-1])
    await recording.stop()
    assert recording.runs() == [times]
    assert sorted(path.name for path in recording.directory.glob("*.open")) == [
        f"{times[0]}-{number:06d}.open" for number in range(3)
    ]
    assert recording.recorder.health().dropped_frames == 0
    assert len(recording.ended) == 1


async def test_an_internal_error_ends_a_run_but_not_the_recording(start: Start) -> None:
    times = capture_times(3)
    odd = Packet(StreamFormat("no-such-codec", 2, 2), b"x", times[0] - US)
    recording = start(odd)
    await until(lambda: recording.recorder.health().ffmpeg_restarts == 1)
    assert "no-such-codec" in recording.recorder.health().reason
    recording.clock.advance(1)
    recording.feed.put(*packets(times))
    await recording.reaches(times[-1])
    await recording.stop()
    assert recording.runs() == [times]


async def test_a_jump_of_the_capture_times_starts_a_new_run(start: Start) -> None:
    """The clock may be changed while an image waits for ffmpeg: an hour must not become thousands of segments."""
    before = capture_times(2)
    after = [time_us + 3600 * US for time_us in capture_times(2, START_US + 3 * US)]
    recording = start(*packets(before), *packets(after))
    await recording.reaches(after[-1])
    await recording.stop()
    assert recording.runs() == [before, after]


async def test_the_open_segment_can_be_read_up_to_its_last_whole_second(start: Start) -> None:
    times = capture_times(1.95)
    recording = start(*packets(times))
    path = recording.directory / f"{times[0]}-000000.open"
    await until(lambda: path.exists() and path.stat().st_size > 2000)
    await recording.reaches(times[-1])
    content = read_fragments(path)
    assert content.times_us == [t for t in times if t < content.end_us]
    assert not content.finished
    await until(lambda: recording.recorder.health().open_segment == path.name)  # as it was seen last


async def test_a_gap_ends_the_run_and_the_next_frame_starts_another(start: Start) -> None:
    before, after = capture_times(1.5), capture_times(1.5, START_US + 10 * US)
    recording = start(*packets(before), Gap("the camera hangs"))
    await until(lambda: recording.ended)
    health = recording.recorder.health()
    assert (health.recording, health.reason, health.open_segment) == (False, "the camera hangs", None)
    recording.feed.put(Gap("the camera hangs"), *packets(after))
    await recording.reaches(after[-1])
    assert recording.recorder.health().recording
    await recording.stop()
    assert recording.runs() == [before, after]


@pytest.fixture
def slow(tmp_path: Path, binary: str) -> tuple[str, Path]:
    """An ffmpeg that begins to work when a file is there."""
    path, ready = tmp_path / "slow", tmp_path / "ready"
    path.write_text(f"#!/bin/sh\nwhile [ ! -e '{ready}' ]; do sleep 0.05; done\nexec '{binary}' \"$@\"\n")
    path.chmod(0o755)
    return str(path), ready


async def test_what_a_slow_ffmpeg_holds_before_a_gap_is_recorded(
    start: Start, slow: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.recording.run.FFMPEG_FINISH_S", 0.2)
    before, (program, ready) = capture_times(1.5), slow
    recording = start(*packets(before), Gap("the camera hangs"), ffmpeg=program)
    await until(lambda: recording.recorder.health().reason == "the camera hangs")
    await asyncio.sleep(1)  # longer than it has while frames wait
    ready.touch()
    await until(lambda: recording.ended)
    assert recording.recorder.health().dropped_frames == 0
    assert recording.runs() == [before]


async def test_what_a_slow_ffmpeg_holds_when_frames_wait_again_is_dropped_and_counted(
    start: Start, slow: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = capture_times(1.5), capture_times(0.5, START_US + 10 * US)
    program, ready = slow
    with monkeypatch.context() as hurried:
        hurried.setattr("videostore.recording.run.FFMPEG_FINISH_S", 0.2)
        recording = start(*packets(before), Gap("the camera hangs"), *packets(after), ffmpeg=program)
        await until(lambda: recording.ended)
    ready.touch()
    await recording.reaches(after[-1])
    assert recording.recorder.health().dropped_frames == len(before)
    await recording.stop()
    assert recording.runs() == [after]


async def test_a_run_that_begins_in_a_stream_of_open_gops_lacks_what_cannot_be_decoded(start: Start) -> None:
    coded = code(Coding("hevc", b_frames=2, open_gop=True, length_s=4))
    sets = parameter_sets("hevc", coded[0].data)
    format = StreamFormat("hevc", *SIZE, sets, reordered=inspect_keyframe("hevc", coded[0].data).reordered)
    stream = [Packet(format, one.data, START_US + one.shown * US // FPS, one.keyframe) for one in coded]
    last = max(range(len(stream)), key=lambda at: stream[at].captured_us)
    stream = stream[: last + 1]
    number = [at for at, one in enumerate(stream) if one.keyframe][2]
    keyframe_us = stream[number].captured_us
    leading = [one for one in stream[number:] if one.captured_us < keyframe_us]
    assert leading
    recording = start(*stream[:20], Gap("the camera hangs"), *stream[20:], encoder=Encoder.copy(FPS))
    await recording.reaches(stream[-1].captured_us)
    await recording.stop()
    assert recording.runs() == [
        sorted(one.captured_us for one in stream[:20]),
        sorted(one.captured_us for one in stream[number:] if one.captured_us >= keyframe_us),
    ]
    assert recording.recorder.health().dropped_frames == len(stream[20:number]) + len(leading)


async def test_images_of_another_size_or_format_start_another_run(start: Start) -> None:
    parts = [capture_times(1.2, START_US + n * 2 * US) for n in range(3)]
    recording = start()
    for times, size, mime in zip(
        parts, [SMALL, (176, 144), (176, 144)], ["image/jpeg"] * 2 + ["image/png"], strict=True
    ):
        recording.feed.put(*packets(times, size, mime))
        await recording.reaches(times[-1])
    await recording.stop()
    assert recording.runs() == parts
    sizes = [read_fragments(path).width for path in sorted(recording.directory.glob("*.open"))]
    assert sizes == [160, 176, 176]


@pytest.mark.parametrize("step_s", [3600, -3600, 0.2])
async def test_a_step_of_the_clock_starts_another_run(start: Start, step_s: float) -> None:
    before = capture_times(1.2)
    recording = start(*packets(before))
    await recording.reaches(before[-1])
    recording.clock.wall += round(step_s * US)
    after = capture_times(1.2, START_US + 2 * US + round(step_s * US))
    recording.feed.put(*packets(after))
    await recording.reaches(after[-1])
    await recording.stop()
    assert sorted(recording.runs()) == sorted([before, after])


async def test_slewing_of_the_clock_does_not_start_another_run(start: Start) -> None:
    times = capture_times(2)
    recording = start()
    for time_us in times:
        recording.clock.advance(1)
        recording.clock.wall += 500
        recording.feed.put(packet(time_us, SMALL))
        await recording.reaches(time_us)
    await recording.stop()
    assert recording.runs() == [times]


async def test_a_camera_whose_time_goes_back_starts_another_run(start: Start) -> None:
    first = capture_times(1.2, START_US + 5 * US)
    second = capture_times(1.2)
    recording = start(*packets(first))
    await recording.reaches(first[-1])
    recording.feed.put(*packets(second))
    await recording.reaches(second[-1])
    await recording.stop()
    assert sorted(recording.runs()) == [second, first]


async def test_a_source_that_raises_is_iterated_again(start: Start) -> None:
    before, after = capture_times(1.2), capture_times(1.2, START_US + 3 * US)
    recording = start(*packets(before), RuntimeError("boom"), *packets(after))
    await recording.reaches(after[-1])
    await recording.stop()
    assert recording.runs() == [before, after]


async def test_while_a_failed_ffmpeg_does_not_end_nothing_is_said_to_be_recorded(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, kill = asyncio.Event(), Run.kill

    async def kill_late(run: Run) -> list[str]:  # the system ends no process that waits for a disk that hangs
        await ends.wait()
        return await kill(run)

    monkeypatch.setattr(Run, "kill", kill_late)
    before, after = (capture_times(1.95, START_US + n * 3 * US) for n in range(2))
    recording = start(*packets(before))
    await recording.reaches(before[-1])
    psutil.Process().children()[0].kill()
    await until(lambda: not recording.recorder.health().recording)
    health = recording.recorder.health()
    assert (health.recording, health.sound, health.ffmpeg_restarts) == (False, False, 0) and health.reason
    ends.set()
    await until(lambda: recording.ended)
    recording.clock.advance(1)
    recording.feed.put(*packets(after))
    await recording.reaches(after[-1])
    assert recording.recorder.health().recording and not recording.recorder.health().reason
    await recording.stop()


async def test_a_killed_ffmpeg_is_started_again_after_a_pause(start: Start) -> None:
    before, lost, after = (capture_times(1.95, START_US + n * 3 * US) for n in range(3))
    recording = start(*packets(before))
    await recording.reaches(before[-1])
    path = recording.directory / f"{before[0]}-000000.open"
    await until(lambda: path.exists() and path.stat().st_size > 2000)
    psutil.Process().children()[0].kill()
    await until(lambda: recording.ended)
    await until(lambda: recording.recorder.run is None)
    held = recording.recorder.health().dropped_frames
    recording.feed.put(*packets(lost[:5]))
    await until(lambda: recording.recorder.health().dropped_frames == held + 5)
    health = recording.recorder.health()
    assert (health.recording, health.ffmpeg_restarts) == (False, 1)
    assert "ffmpeg exited" in health.reason
    recording.clock.advance(1)
    recording.feed.put(*packets(after))
    await recording.reaches(after[-1])
    await recording.stop()
    first, second = recording.runs()
    assert first == before[: len(first)] and len(first) > 5
    assert second == after
    assert held == len(before) - len(first)
    assert recording.recorder.health().recorded_frames == len(first) + len(second)


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5])
async def test_frames_that_were_decoded_and_are_in_no_file_are_dropped_and_counted(
    start: Start, seconds: float
) -> None:
    times = capture_times(seconds)
    recording = start(*packets(times))
    await recording.reaches(times[-1])
    await until(lambda: recording.recorder.run is not None and recording.recorder.run.tally.recorded == len(times))
    told = recording.recorder.health().recorded_frames
    psutil.Process().children()[0].kill()
    await until(lambda: recording.ended and recording.recorder.run is None)
    stored = [one for run in recording.runs() for one in run]
    health = recording.recorder.health()
    assert len(stored) < len(times) and health.dropped_frames == len(times) - len(stored)
    assert health.recorded_frames == told == len(times)  # a count does not fall
    recording.clock.advance(1)
    after = capture_times(seconds, START_US + 10 * US)
    recording.feed.put(*packets(after))
    await recording.reaches(after[-1])
    await recording.stop()
    assert recording.recorder.health().recorded_frames == max(len(times), len(stored) + len(after))


async def test_a_frame_that_causes_an_internal_error_is_dropped_and_counted(start: Start) -> None:
    times = capture_times(1)
    recording = start(*packets(times), Packet(StreamFormat("no-such-codec", 2, 2), b"x", times[-1] + US))
    await until(lambda: recording.recorder.health().dropped_frames == 1)
    await recording.stop()
    assert recording.runs() == [times]


@pytest.mark.parametrize("method", ["takes", "add", "flush", "finish"])
async def test_what_a_run_holds_at_an_internal_error_is_counted(
    start: Start, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    times = capture_times(4)
    original, calls = getattr(Run, method), itertools.count()
    at = 0 if method == "finish" else 15

    def failing_once(self: Run, *arguments: Any, **named: Any) -> Any:
        if next(calls) == at:
            raise RuntimeError("a mistake")
        return original(self, *arguments, **named)

    monkeypatch.setattr(Run, method, failing_once)
    recording = start(*packets(times), Gap("the camera hangs"))
    await until(lambda: recording.ended and recording.feed.is_empty and not recording.recorder._backlog.filled)
    await recording.stop()
    stored = [one for run in recording.runs() for one in run]
    health = recording.recorder.health()
    assert len(stored) + health.dropped_frames == len(times) and stored == times[: len(stored)]
    assert recording.recorder.last_failure == "internal error: a mistake" and next(calls) > at


async def test_an_ffmpeg_whose_file_may_not_become_larger_names_the_limit(start: Start) -> None:
    times = capture_times(3)
    recording = start(*packets(times[:10]))
    await recording.reaches(times[9])
    with files_of_at_most(1 << 24):
        psutil.Process().children()[0].send_signal(signal.SIGXFSZ)
        await until(lambda: recording.ended)
        await until(lambda: not recording.recorder.health().recording)
        reason = recording.recorder.health().reason
    assert "ffmpeg exited" in reason and "no file of more than 16,777,216 bytes (RLIMIT_FSIZE)" in reason, reason
    recording.clock.advance(1)
    recording.feed.put(*packets(times[20:]))
    await recording.reaches(times[-1])
    await recording.stop()


async def test_what_an_ffmpeg_holds_that_is_killed_is_dropped_and_counted(start: Start, slow: tuple[str, Path]) -> None:
    times, (program, _) = capture_times(1.5), slow
    recording = start(*packets(times), ffmpeg=program)
    await recording.reaches(times[-1])
    psutil.Process().children()[0].kill()
    await until(lambda: recording.ended and recording.recorder.run is None)
    assert recording.recorder.health().dropped_frames == len(times)


async def test_the_pauses_get_longer_while_ffmpeg_cannot_be_started(start: Start, tmp_path: Path) -> None:
    recording = start(ffmpeg=str(tmp_path / "none"))
    pauses = []
    for number in range(10):
        recording.feed.put(packet(START_US + number, SMALL))
        await until(lambda number=number: recording.recorder.health().ffmpeg_restarts == number + 1)  # type: ignore[misc]
        pauses.append(recording.recorder._backoff.pause_s)
        recording.clock.advance(31)
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert "cannot be started" in recording.recorder.health().reason


async def test_the_reason_of_a_failed_ffmpeg_is_never_told_without_what_it_said(start: Start) -> None:
    recording = start(packet(START_US, SMALL), encoder=Encoder("no-such-encoder", 1_000_000, "ultrafast", 20))
    told: set[str] = set()
    while recording.recorder.health().ffmpeg_restarts < 1:
        told.add(recording.recorder.health().reason)
        await asyncio.sleep(0)
    told.add(recording.recorder.health().reason)
    assert len(told) > 1 and all("no-such-encoder" in one for one in told if "ffmpeg" in one), told


async def test_an_ffmpeg_that_fails_immediately_does_not_end_the_recorder(start: Start) -> None:
    recording = start(packet(START_US, SMALL), ffmpeg="/bin/false")
    await until(lambda: recording.recorder.health().ffmpeg_restarts == 1)
    assert not recording.task.done()


async def test_a_damaged_image_does_not_end_the_recording(start: Start) -> None:
    """Its header is valid, the rest is not. The decoder may drop it or make something of it."""
    times = capture_times(2.5)
    items = packets(times)
    data = bytearray(items[7].data)
    data[len(data) // 2 : len(data) // 2 + 400] = os.urandom(400)
    items[7] = Packet(items[7].format, bytes(data), items[7].captured_us)
    recording = start(*items)
    await recording.reaches(times[-1])
    await recording.stop()
    (recorded,) = recording.runs()
    assert set(times) - set(recorded) <= {times[7]}
    assert set(recorded) <= set(times)


async def test_the_health_says_that_no_image_has_arrived_yet(start: Start) -> None:
    health = start().recorder.health()
    assert (health.recording, health.reason, health.last_frame_age_s) == (False, "no image has arrived yet", None)


async def test_the_health_contains_the_age_of_the_last_frame(start: Start) -> None:
    recording = start(packet(START_US, SMALL))
    await recording.reaches(START_US)
    await until(lambda: recording.recorder.health().last_frame_age_s is not None)
    assert recording.recorder.health().last_frame_age_s == 60.0
    recording.clock.advance(2.5)
    assert recording.recorder.health().last_frame_age_s == 62.5
