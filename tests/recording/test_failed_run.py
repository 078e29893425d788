"""Runs that fail: why is told, what they held is counted, and another one begins."""

from __future__ import annotations

import asyncio
import itertools
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.recorder import Start, packets
from tests.support.recording import SMALL, START_US, US, capture_times, packet, until
from tests.support.size_limit import files_of_at_most
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Gap, Packet, StreamFormat
from videostore.recording.run import Run


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
