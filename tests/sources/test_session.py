from __future__ import annotations

import asyncio
import signal
import threading
import time
from pathlib import Path

import av
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some
from tests.support.coding import write_video
from tests.support.inputs import NetworkCamera, Tap, distances, open_input, playing, record_file, refusal
from tests.support.recording import US, capture_times, until
from videostore.base.beat import BEAT_S
from videostore.ffmpeg.process import run_ffmpeg


async def test_a_server_that_sends_nothing_is_given_up_and_tried_again(binary: str, camera: NetworkCamera) -> None:
    camera.sending.clear()
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts", patience_s=0.4))
    assert await open_input(camera.url, binary, format="mpegts", patience_s=0.4).probe() is None
    async with playing(source):
        await until(lambda: camera.clients >= 3)
    assert len(source.gaps) == 1  # one for all attempts
    assert "no frame within 0.4 s" in source.gaps[0].reason


async def test_a_file_without_further_keyframes_is_reencoded_from_where_a_segment_would_be_too_long(
    tmp_path: Path, binary: str
) -> None:
    """Otherwise no segment would ever be closed, and the quota could not be kept."""
    times = capture_times(4, fps=20, seed=None)
    path = tmp_path / "input.mp4"
    write_video(path, "h264", times, gop=1000)
    made = await record_file(path, tmp_path, binary, keyframe_patience_s=1.5)
    assert [gap.reason for gap in made.source.gaps] == [
        f"the input {path} is re-encoded from here on: no keyframe for 1.5 s"
    ]
    assert len(made.segments) > 2
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == times  # each once
    keyframes = [packet.captured_us for packet in made.source.packets_seen if packet.keyframe]
    assert max(distances(keyframes)) < 2.5 * US


async def test_a_live_input_without_further_keyframes_is_reencoded(binary: str) -> None:
    camera = NetworkCamera(gop=1000)
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts", keyframe_patience_s=1.5))
    try:
        async with playing(source):
            await until(lambda: source.gaps)
            before = len(source.packets_seen)
            await until(lambda: len(source.packets_seen) >= before + 60)
    finally:
        await camera.stop()
    assert len(source.gaps) == 1 and "no keyframe for 1.5 s" in source.gaps[0].reason
    assert sum(packet.keyframe for packet in source.packets_seen[before:]) >= 3
    assert not any(packet.keyframe for packet in source.packets_seen[1:before])


@some("after_s", [0.0, 0.02, 0.1, 0.005, 0.05, 0.3, 0.8], 3)
async def test_cancelling_at_any_moment_leaves_no_process_and_no_thread(
    binary: str, camera: NetworkCamera, tmp_path: Path, after_s: float
) -> None:
    """The fixture `nothing_left` checks it."""
    await camera.start()
    write_video(tmp_path / "input.mp4", "h264", capture_times(5, fps=20), b_frames=2)
    for name, settings in ((camera.url, {"format": "mpegts"}), (tmp_path / "input.mp4", {})):
        for whole in (True, False):
            source = open_input(name, binary, **settings)
            task: asyncio.Task[object] = asyncio.create_task(Tap(source).play() if whole else source.probe())
            await asyncio.sleep(after_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not [t for t in threading.enumerate() if t.name == "videostore input"]


async def test_frames_of_which_a_loss_was_reported_before_are_marked_after_a_standstill(
    tmp_path: Path, binary: str
) -> None:
    """The report and the frames wait in two pipes, and are read at once."""
    times = capture_times(1, fps=20, seed=None)
    write_video(tmp_path / "input.mp4", "h264", times, gop=1000)
    nut = ["-c", "copy", "-f", "nut", "-write_index", "0", "-syncpoints", "none", "-strict", "experimental"]
    await run_ffmpeg([binary, "-v", "error", "-i", str(tmp_path / "input.mp4"), *nut, str(tmp_path / "output.nut")])
    goes_on, written, program = (tmp_path / name for name in ("goes-on", "written", "program"))
    with av.open(str(tmp_path / "output.nut")) as container:
        first_bytes = [packet.pos for packet in container.demux(video=0)][10]
    program.write_text(
        f"#!/bin/sh\ncd '{tmp_path}'\nhead -c {first_bytes} output.nut\nwhile [ ! -e goes-on ]; do sleep 0.02; done\n"
        f"echo '[rtsp @ 0x1] [warning] RTP: missed 2 packets' >&2\ntail -c +{first_bytes + 1} output.nut\n: > written\n"
        "exec sleep 600\n"
    )
    program.chmod(0o755)
    source = Tap(open_input("rtsp://127.0.0.1:1/x", str(program)))
    async with playing(source):
        await until(lambda: len(source.packets_seen) == 10)
        goes_on.touch()
        while not written.exists():  # this process stands still
            time.sleep(0.02)  # noqa: ASYNC251
        time.sleep(3 * BEAT_S)  # noqa: ASYNC251 (until the thread has read them)
        await until(lambda: len(source.packets_seen) == len(times))
    after = [one.damage.reason if one.damage else "" for one in source.packets_seen[10:]]
    assert set(after) == {"packets-lost"}, after


async def test_the_signal_that_killed_ffmpeg_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program, file = tmp_path / "program", tmp_path / "input.mp4"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    file.touch()
    source = Tap(open_input(file, str(program)))
    await asyncio.wait_for(source.play(), 150)
    assert [gap.reason for gap in source.gaps] == [
        f"the input {file} failed: ffmpeg was killed by signal {signal.SIGSEGV:d}"
    ]
    assert f"cannot be recorded: ffmpeg was killed by signal {signal.SIGSEGV:d}." in await refusal(file, str(program))
    assert await open_input("rtsp://127.0.0.1:1/x", str(program)).probe() is None
    assert f"does not answer: ffmpeg was killed by signal {signal.SIGSEGV:d}." in caplog.text
