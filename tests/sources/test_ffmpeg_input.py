from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import av
import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.checkout import ROOT
from tests.support.coding import write_video
from tests.support.inputs import (
    LENGTH_S,
    NetworkCamera,
    SteppedClock,
    Tap,
    dated_alike,
    distances,
    open_input,
    painted_times,
    playing,
    record_file,
    store_of,
)
from tests.support.recording import LOGGER, SMALL, US, capture_times, until
from videostore.base.errors import RequestError
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.sources.ffmpeg_input import FFmpegInput


def coded_frames(path: Path, codec: str) -> list[bytes]:
    """The coded images of a file, without parameter sets and other units."""
    with av.open(str(path)) as container:
        found = []
        for packet in container.demux(video=0):
            data, at, units = bytes(packet), 0, []
            while at < len(data):
                size = int.from_bytes(data[at : at + 4], "big")
                units.append(data[at + 4 : at + 4 + size])
                at += 4 + size
            pictures = [u for u in units if (1 <= u[0] & 0x1F <= 5 if codec == "h264" else u[0] >> 1 & 0x3F < 32)]
            found += [b"".join(pictures)] if data else []
        return found


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_a_file_without_b_frames_is_copied_and_its_frames_keep_their_distances(
    tmp_path: Path, binary: str, codec: str
) -> None:
    times = capture_times(LENGTH_S, fps=20)
    path = tmp_path / "input.mp4"
    write_video(path, codec, times)
    started_us = time.time_ns() // 1000
    made = await record_file(path, tmp_path, binary)
    took_us = time.time_ns() // 1000 - started_us
    assert [frame for segment in made.segments for frame in coded_frames(segment, codec)] == coded_frames(path, codec)
    assert len(made.segments) == 2
    assert made.times_us == made.source.times_us
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        dated = [round(packet.pts * base * US) for packet in container.demux(video=0) if packet.pts is not None]
    assert distances(made.times_us) == distances(dated)
    assert times[-1] - times[0] < took_us  # in real time
    # ffmpeg reads half a second ahead.
    assert started_us < made.times_us[0] < started_us + took_us - (times[-1] - times[0]) + US
    assert not made.source.gaps


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
async def test_a_clip_of_a_copied_file_is_exact(tmp_path: Path, binary: str, container: str) -> None:
    times = capture_times(LENGTH_S, fps=20)
    path = tmp_path / "input.mp4"
    write_video(path, "h264", times, gop=100)
    source = Tap(open_input(path, binary))
    async with store_of(source, tmp_path, binary, live=False) as store:
        await asyncio.wait_for(store.ended(), 150)
        recorded = source.times_us
        for first, last in [(0, 9), (5, 6), (7, len(times) - 1)]:
            clip = await store.fetch(recorded[first], recorded[last], container=container)
            found = check_clip(read_clip(clip.data), times, times[first], times[last])
            assert found.flawless and found.drift_ms < 1, found


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_a_file_with_b_frames_is_copied_with_all_frames_at_their_times(
    tmp_path: Path, binary: str, codec: str
) -> None:
    times = capture_times(LENGTH_S, fps=20, seed=None)
    path = tmp_path / "input.mp4"
    write_video(path, codec, times, b_frames=2)
    made = await record_file(path, tmp_path, binary)
    assert made.source.packets_seen[0].format.reordered and not made.source.gaps
    assert made.times_us == sorted(made.source.times_us) != made.source.times_us
    assert distances(made.times_us) == distances(times)
    assert [frame for segment in made.segments for frame in coded_frames(segment, codec)] == coded_frames(path, codec)
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == times


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
@pytest.mark.parametrize("size", [SMALL, (177, 145)])
async def test_other_codecs_and_odd_sizes_are_reencoded(
    tmp_path: Path, binary: str, codec: str, size: tuple[int, int]
) -> None:
    path = tmp_path / "input.avi"
    times = capture_times(0.8, fps=20, seed=None)
    write_video(path, codec, times, size=size)
    source = open_input(path, binary)
    info = await source.probe()
    assert info is not None and (info.codec, info.width, info.height) == (codec, *size)
    assert info.reencoded == f"its codec is {codec}" and not info.live
    made = await record_file(path, tmp_path, binary)
    assert made.times_us == made.source.times_us
    assert distances(made.times_us) == distances(times)
    shown = [frame for segment in made.segments for _, frame in read_clip(segment, [size])]
    assert [frame.captured_us for frame in shown if frame] == times


async def test_an_input_with_text_that_is_not_utf8_is_recorded(tmp_path: Path, binary: str) -> None:
    plain, path = tmp_path / "plain.mp4", tmp_path / "input.mp4"
    times = capture_times(1, fps=20)
    write_video(plain, "h264", times)
    text = b"title=caf\xe9 au lait"  # cameras name themselves in the tables of their region
    tagging = await asyncio.create_subprocess_exec(
        binary, "-v", "error", "-i", plain, "-c", "copy", "-metadata", text, path
    )
    assert await tagging.wait() == 0
    made = await record_file(path, tmp_path, binary)
    assert len(made.times_us) == len(times) and not made.source.gaps


async def test_hidden_frames_are_not_recorded(tmp_path: Path, binary: str) -> None:
    """For example before the start of a cut that has to begin with a keyframe."""
    times = capture_times(LENGTH_S, fps=20, seed=None)
    write_video(tmp_path / "whole.mp4", "h264", times, gop=100)
    cut = tmp_path / "cut.mp4"
    process = await asyncio.create_subprocess_exec(
        *(binary, "-v", "error", "-ss", "1", "-i", str(tmp_path / "whole.mp4"), "-c", "copy", str(cut))
    )
    assert await process.wait() == 0
    made = await record_file(cut, tmp_path, binary)
    shown = [frame for segment in made.segments for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == [t for t in times if t >= times[0] + US]


async def test_reencode_also_reencodes_what_could_be_copied(tmp_path: Path, binary: str) -> None:
    times = capture_times(0.6, fps=20, seed=None)
    path = tmp_path / "input.mp4"
    write_video(path, "h264", times)
    made = await record_file(path, tmp_path, binary, reencode=True)
    assert distances(made.times_us) == distances(times)
    assert [f for segment in made.segments for f in coded_frames(segment, "h264")] != coded_frames(path, "h264")


@pytest.mark.parametrize("input", ["-vf", "-", "", "a\nb", "pipe:0"])
def test_an_input_with_an_impossible_name_is_refused(binary: str, input: str) -> None:
    with pytest.raises(RequestError, match="Name a file, a device or a URL"):
        open_input(input, binary)


@pytest.mark.parametrize("name", ["-i", "i", "vf nonsense", ""])
def test_an_invalid_option_name_is_refused(binary: str, name: str) -> None:
    with pytest.raises(RequestError, match="is not an option of an input"):
        open_input("x.mp4", binary, options={name: "1"})


async def test_a_live_input_is_copied_and_its_frames_have_their_capture_times(
    tmp_path: Path, binary: str, camera: NetworkCamera
) -> None:
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    async with store_of(source, tmp_path, binary, live=True) as store:
        await dated_alike(source, 50, 50_000, below_us=125_000)
        health = store.health().recorder
        assert health is not None and health.dropped_frames == 0
    painted = painted_times(source.packets_seen)
    assert all(dated >= true for dated, true in zip(source.times_us, painted, strict=True))
    stored = [t for path in sorted((tmp_path / "storage").glob("*.mp4")) for t in read_fragments(path).times_us]
    assert stored == source.times_us[: len(stored)] and len(stored) >= 50
    assert set(painted) <= set(camera.delivered)
    assert not source.gaps


@pytest.mark.parametrize("fps", [8, 32])
@pytest.mark.parametrize("format", ["mpjpeg", "h264"])
async def test_frames_without_times_of_their_own_are_dated_by_their_arrival_at_any_rate(
    binary: str, format: str, fps: int
) -> None:
    """ffmpeg takes them for 25 frames a second."""
    camera = NetworkCamera(fps=fps, format=format)
    await camera.start()
    source = Tap(open_input(camera.url, binary, streams_only=format == "mpjpeg"))
    try:
        async with playing(source):
            # One that is dated when the next one comes is late by the distance of two at least.
            await dated_alike(source, 2 * fps, 150_000, below_us=US // fps if fps == 8 else US)
    finally:
        await camera.stop()
    assert not source.gaps
    off_us = [dated - true for dated, true in zip(source.times_us, painted_times(source.packets_seen), strict=False)]
    assert min(off_us) > -US, "a frame is dated before the input was opened"


async def test_an_unplugged_camera_makes_a_gap_and_is_recorded_again_when_it_is_back(
    binary: str, camera: NetworkCamera
) -> None:
    await camera.start()
    source = Tap(open_input(camera.url, binary, format="mpegts"))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        await camera.stop()
        await until(lambda: len(source.gaps) == 2)
        before = len(source.packets_seen)
        back_us = time.time_ns() // 1000
        await camera.start()
        await until(lambda: len(source.packets_seen) >= before + 5)
    assert [gap.reason for gap in source.gaps] == [
        f"the input {camera.url} failed: the stream ended",
        f"the input {camera.url} failed: it refuses the connection",
    ]
    assert source.packets_seen[before].keyframe
    assert source.times_us[before - 1] < back_us < source.times_us[before]
    assert all(step > 0 for step in distances(source.times_us))


async def test_a_clock_that_is_set_back_while_the_camera_is_away_is_followed(
    binary: str, camera: NetworkCamera
) -> None:
    await camera.start()
    clock = SteppedClock()
    source = Tap(open_input(camera.url, binary, format="mpegts", clock=clock))
    async with playing(source):
        await until(lambda: len(source.packets_seen) >= 5)
        await camera.stop()
        await until(lambda: source.gaps)
        before = len(source.packets_seen)
        clock.ahead_us = -3600 * US
        await camera.start()
        await until(lambda: len(source.packets_seen) >= before + 5)
    after = source.packets_seen[before:]
    captured = distances(painted_times(after))  # on a busy machine, the camera catches up
    assert all(step > true / 5 for step, true in zip(distances(source.times_us[before:]), captured, strict=True))
    assert abs(source.times_us[-1] - clock.wall_us()) < 3 * US


async def test_an_encoder_whose_video_cannot_be_recorded_makes_a_gap(tmp_path: Path, binary: str) -> None:
    write_video(tmp_path / "input.avi", "mjpeg", capture_times(0.3, fps=20))
    encoder = Encoder("libvpx", 500_000, "", 20)
    input = FFmpegInput(str(tmp_path / "input.avi"), binary=binary, encoder=encoder, logger=LOGGER)
    source = Tap(input)
    await asyncio.wait_for(source.play(), 150)
    assert not source.packets_seen and "the encoder libvpx" in source.gaps[0].reason
    assert input.fault == source.gaps[0].reason


async def test_an_encoder_that_cannot_be_opened_is_told_with_what_it_says_itself(tmp_path: Path, binary: str) -> None:
    write_video(tmp_path / "input.avi", "mjpeg", capture_times(0.3, fps=20))
    encoder = Encoder("mpeg4", 500_000, "", 20)
    input = FFmpegInput(str(tmp_path / "input.avi"), binary=binary, encoder=encoder, logger=LOGGER)
    source = Tap(input)
    await asyncio.wait_for(source.play(), 150)
    assert "not supported by MPEG 4 standard" in source.gaps[0].reason


async def test_the_format_may_be_among_the_options(tmp_path: Path, binary: str) -> None:
    input = FFmpegInput(
        "testsrc=duration=1:size=128x72",
        binary=binary,
        encoder=Encoder("libx264", 500_000, "ultrafast", 25),
        logger=LOGGER,
        options={"f": "lavfi"},
    )
    info = await input.probe()
    assert info is not None and (info.width, info.height) == (128, 72)


async def test_a_killed_recorder_leaves_no_ffmpeg(binary: str, camera: NetworkCamera) -> None:
    """Even if the input sends nothing, so that ffmpeg never notices that its reader is gone."""
    await camera.start()
    script = (
        "import asyncio, logging, sys\n"
        "from videostore.sources.ffmpeg_input import FFmpegInput\n"
        "from videostore.ffmpeg.encoder import Encoder\n"
        "async def main():\n"
        "    encoder = Encoder('libx264', 1000000, 'ultrafast', 20)\n"
        "    source = FFmpegInput(sys.argv[1], binary=sys.argv[2], encoder=encoder, logger=logging.getLogger('x'),\n"
        "                         format='mpegts', patience_s=60)\n"
        "    async for packet in source.packets():\n"
        "        print('packet', flush=True)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, camera.url, binary), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 150)
    camera.sending.clear()
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGKILL)
    await process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 5)
    assert not alive


async def test_a_live_input_that_is_stopped_ends_at_once_and_all_that_came_is_recorded(
    tmp_path: Path, binary: str, camera: NetworkCamera
) -> None:
    await camera.start()
    live = open_input(camera.url, binary, format="mpegts")
    source = Tap(live)
    async with store_of(source, tmp_path, binary, live=True) as store:
        await until(lambda: len(source.packets_seen) >= 20)
        camera.sending.clear()  # nothing more comes that could end it
        live.stop()
        await asyncio.wait_for(store.ended(), 150)
        recorder = store.health().recorder
        assert recorder is not None and not recorder.recording and recorder.dropped_frames == 0
    segments = sorted((tmp_path / "storage").glob("*.mp4"))
    assert [time_us for path in segments for time_us in read_fragments(path).times_us] == source.times_us
