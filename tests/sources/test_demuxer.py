from __future__ import annotations

import asyncio
from pathlib import Path

from scripts.fakes.painted_camera import read_clip
from tests.support.coding import Painter, coded_packets, write_video
from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.inputs import (
    LENGTH_S,
    NetworkCamera,
    Tap,
    distances,
    open_input,
    painted_times,
    playing,
    record_file,
)
from tests.support.recording import LOGGER, SMALL, START_US, US, capture_times, until
from videostore.base.clock import SteadyClock, SystemClock
from videostore.media.fmp4 import read_fragments
from videostore.sources.demuxer import Demuxer
from videostore.sources.ffmpeg_messages import FFmpegMessages


async def test_b_frames_that_begin_later_begin_another_run_and_are_copied(tmp_path: Path, binary: str) -> None:
    times = capture_times(LENGTH_S, fps=20, seed=None)
    half = len(times) // 2
    write_video(tmp_path / "plain.mp4", "h264", times[:half])
    write_video(tmp_path / "reordered.mp4", "h264", times[half:], b_frames=2)
    listed = tmp_path / "list.txt"
    listed.write_text("ffconcat version 1.0\nfile plain.mp4\nfile reordered.mp4\n")
    made = await record_file(listed, tmp_path, binary, format="concat")
    assert [bool(one.format.reordered) for one in made.source.packets_seen] == [False] * half + [True] * half
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == times


async def test_open_gops_of_h264_are_copied_and_no_segment_begins_with_one(tmp_path: Path, binary: str) -> None:
    """Chromium cannot begin there: its decoder fails at what refers to frames before."""
    times = [START_US + n * FRAME_US for n in range(40)]
    await write_foreign_video(tmp_path / "open.mp4", times, CODINGS["h264 open GOP"])
    made = await record_file(tmp_path / "open.mp4", tmp_path, binary)
    assert not made.source.gaps and all(one.format.reordered for one in made.source.packets_seen)
    assert [one.keyframe for one in made.source.packets_seen] == [True] + 39 * [False]
    assert len(made.segments) == 1
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == times


async def test_open_gops_of_h265_are_copied_and_segments_begin_with_them(tmp_path: Path, binary: str) -> None:
    times = [START_US + n * FRAME_US for n in range(40)]
    await write_foreign_video(tmp_path / "open.mp4", times, CODINGS["h265 open GOP"])
    made = await record_file(tmp_path / "open.mp4", tmp_path, binary)
    assert not made.source.gaps and all(one.format.reordered for one in made.source.packets_seen)
    seen = made.source.packets_seen
    keyframes = [number for number, one in enumerate(seen) if one.keyframe]
    assert len(keyframes) == 3 and seen[keyframes[1] + 1].captured_us < seen[keyframes[1]].captured_us
    contents = [read_fragments(one) for one in made.segments]
    assert [one.start_us for one in contents] == [seen[number].captured_us for number in keyframes]
    assert [one.leading is not None for one in contents] == [False, True, True]
    stored = [time_us for one in contents for fragment in one.fragments for time_us in fragment.times_us]
    assert stored == made.source.times_us


async def test_b_frames_of_which_it_is_not_known_when_they_are_shown_are_reencoded(tmp_path: Path, binary: str) -> None:
    """Raw video has no timestamps."""
    packets = coded_packets(capture_times(LENGTH_S, fps=20, seed=None), "h264", gop=12, b_frames=2)
    path = tmp_path / "input.h264"
    path.write_bytes(b"".join(one.data for one in packets))
    source = open_input(path, binary)
    info = await source.probe()
    assert info is not None and info.reencoded


async def test_what_is_refreshed_bit_by_bit_is_reencoded(tmp_path: Path, binary: str) -> None:
    """A segment that began with one of its later keyframes would show nothing for a while."""
    times = [START_US + n * FRAME_US for n in range(40)]
    await write_foreign_video(tmp_path / "refreshed.mp4", times, CODINGS["h264 intra refresh"])
    made = await record_file(tmp_path / "refreshed.mp4", tmp_path, binary)
    assert [gap.reason for gap in made.source.gaps if "refreshed bit by bit" in gap.reason]
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == times


async def test_live_b_frames_are_copied_and_dated_in_the_order_in_which_they_are_shown(binary: str) -> None:
    camera = NetworkCamera(b_frames=2)
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    try:
        async with playing(source):
            await until(lambda: len(source.packets_seen) >= 12)
    finally:
        await camera.stop()
    assert source.packets_seen[0].format.reordered
    painted = painted_times(source.packets_seen[:12])
    assert set(painted) <= set(camera.delivered)
    dated_us = source.times_us[:12]
    assert dated_us != sorted(dated_us)
    for dated, true in zip(distances(sorted(dated_us)), distances(painted), strict=True):
        assert abs(dated - true) < 30_000


async def test_other_parameter_sets_make_another_format(binary: str, tmp_path: Path) -> None:
    """A camera whose image size is changed continues in the same stream."""
    parts = []
    for size in (SMALL, (192, 160)):
        painter = Painter("h264", gop=5, size=size)
        coded = [one for n in range(10) for one in painter.code(START_US + n * 50_000, n * 50_000)]
        parts.append(b"".join(bytes(one) for one in [*coded, *painter.finish()]))
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(parts))
    source = Tap(open_input(path, binary))
    await source.play()
    sizes = [(packet.format.width, packet.format.height) for packet in source.packets_seen]
    assert sizes == [SMALL] * 10 + [(192, 160)] * 10
    assert source.packets_seen[10].keyframe


async def test_a_reader_can_stop_while_the_thread_waits_for_room(binary: str, tmp_path: Path) -> None:
    """The thread waits for room, and ffmpeg for the thread."""
    write_video(tmp_path / "input.mp4", "h264", capture_times(5, fps=50))
    source = open_input(tmp_path / "input.mp4", binary)
    packets = source.packets()
    await packets.__anext__()
    await asyncio.sleep(0.5)
    await packets.aclose()  # type: ignore[attr-defined]


async def test_a_program_that_writes_garbage_and_does_not_exit_is_killed(tmp_path: Path) -> None:
    program, file = tmp_path / "program", tmp_path / "input.mp4"
    program.write_text("#!/bin/sh\nhead -c 100000 /dev/urandom\nexec sleep 60\n")
    program.chmod(0o755)
    file.touch()
    source = Tap(open_input(file, str(program), patience_s=0.5))
    await asyncio.wait_for(source.play(), 150)
    assert len(source.gaps) == 1 and not source.packets_seen


async def test_a_frame_that_an_encoder_held_up_for_long_is_dated_by_when_it_came(binary: str) -> None:
    """As of a camera with one frame in 30 s."""
    steady = SteadyClock(SystemClock())
    made = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=1:duration=4", "-pix_fmt", "yuv420p", "-f", "nut"]
    command = [binary, "-v", "error", *made, "-c:v", "libx264", "-bf", "0", "pipe:1"]
    opened_us = steady.now_us() - 60 * US
    demuxer = await Demuxer.start(command, steady, FFmpegMessages(LOGGER, str), timed_from_us=opened_us)
    try:
        first = await demuxer.next(60)
    finally:
        await demuxer.end()
    assert first is not None and first.arrived_us == opened_us
