from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.coded_stream import FPS, SIZE, Coding, code
from tests.support.recorder import Start, packets
from tests.support.recording import SMALL, START_US, US, capture_times, packet, until
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Gap, Packet, StreamFormat


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
