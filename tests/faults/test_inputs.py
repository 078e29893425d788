"""Inputs of `record` on a machine that stops, on a disk that is full, and files that are cut off."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some
from tests.support.child_processes import command_of
from tests.support.coding import write_video
from tests.support.inputs import distances, open_input
from tests.support.program import TIMEOUT_S, Program, wait_until
from tests.support.recording import US, capture_times
from videostore.ffmpeg.process import BINARY_VARIABLE, find_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.packet import Gap, Packet
from videostore.media.segment import probe
from videostore.sources.ffmpeg_input import FFmpegInput

FPS = 20


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program.create(tmp_path)


def video(path: Path, seconds: float, codec: str = "h264", *, b_frames: int = 0) -> list[int]:
    """A file with painted images at a constant rate; the times in them."""
    times = capture_times(seconds, fps=FPS, seed=None)
    write_video(path, codec, times, b_frames=b_frames)
    return times


def shown(directory: Path) -> list[int]:
    """The times that are painted into what is recorded, in order."""
    found = [frame for path in sorted(directory.glob("*.mp4")) for _, frame in read_clip(path)]
    return [frame.captured_us for frame in found if frame]


def ffmpeg_of(process: psutil.Process, ending: str) -> psutil.Process | None:
    """The child that writes to a path with this ending."""
    for child in process.children():
        if any(argument.endswith(ending) for argument in command_of(child)):
            return child
    return None


def recording_by(program: Program, start: str) -> dict[str, str]:
    """The environment in which the ffmpeg that records is started by this line of a shell script; "$@" are its
    arguments, and "$ffmpeg" is the program.
    """
    script = program.home / "recording"
    lines = f'ffmpeg="{find_ffmpeg()}"', f'case "$*" in *.open*) {start} ;; esac', 'exec "$ffmpeg" "$@"'
    script.write_text("\n".join(("#!/bin/sh", *lines, "")))
    script.chmod(0o755)
    return {BINARY_VARIABLE: str(script)}


async def play(source: FFmpegInput, *, stall_after: int, stall_s: float) -> list[Packet]:
    """Take all packets; after some of them the ffmpeg that reads the input is stopped for a while."""
    packets: list[Packet] = []

    async def items() -> AsyncIterator[Packet | Gap]:
        async with aclosing(source.packets()) as all_items:  # type: ignore[type-var]
            async for item in all_items:
                yield item

    async for item in items():
        assert isinstance(item, Packet)
        packets.append(item)
        if len(packets) == stall_after:
            process = ffmpeg_of(psutil.Process(), "pipe:1")
            if process is not None:
                process.suspend()
                asyncio.get_running_loop().call_later(stall_s, process.resume)
    return packets


@some(("b_frames", "reencode"), [(2, False), (2, True), (0, False)], 2)
async def test_a_stall_in_reading_a_file_does_not_shift_the_times_behind_it(
    tmp_path: Path, binary: str, b_frames: int, reencode: bool
) -> None:
    path = tmp_path / "input.mkv"
    times = video(path, 12, b_frames=b_frames)
    source = open_input(path, binary, reencode=reencode)
    await source.probe()
    packets = await play(source, stall_after=5, stall_s=1.5)
    assert [distance // 1000 for distance in distances(sorted(one.captured_us for one in packets))] == [
        1000 // FPS for _ in itertools.pairwise(times)
    ]


async def test_a_file_that_is_re_encoded_from_some_point_on_keeps_its_distances_there(
    tmp_path: Path, binary: str
) -> None:
    path = tmp_path / "input.mp4"
    times = capture_times(4, fps=FPS, seed=None)
    write_video(path, "h264", times, gop=1000)
    source = open_input(path, binary, keyframe_patience_s=1.5)
    items = [item async for item in source.packets()]
    assert sum(isinstance(item, Gap) for item in items) == 1
    captured = [item.captured_us for item in items if isinstance(item, Packet)]
    assert all(abs(distance - US // FPS) <= 1000 for distance in distances(captured)) and len(captured) == len(times)


def test_a_process_that_is_stopped_for_a_while_records_a_file_at_its_own_distances(program: Program) -> None:
    times = video(program.here / "visit.mkv", 4)
    door = program.here / "door"
    with program.start_warm("record", "visit.mkv", "--storage", "door", "--size-gb", "1") as process:
        wait_until(lambda: any(door.glob("*.open")))
        process.send_signal(signal.SIGSTOP)
        psutil.Process(process.pid).children()  # they go on meanwhile
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(process.pid).wait(1.2)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    recorded = [time_us for path in sorted(door.glob("*.mp4")) for time_us in read_fragments(path).times_us]
    assert all(abs(distance - US // FPS) <= 1000 for distance in distances(recorded)) and len(recorded) == len(times)


@pytest.mark.parametrize("ends_by", ["Ctrl-C", "its end"])
def test_a_slow_ffmpeg_at_the_end_is_waited_for(program: Program, ends_by: str) -> None:
    """Longer than the 2 s after which the module, which has 3 s in all, kills it."""
    times = video(program.here / "visit.mkv", 3)
    door = program.here / "door"
    stopped = recording_by(program, "kill -STOP $$")
    with program.start_warm("record", "visit.mkv", "--storage", "door", "--size-gb", "1", **stopped) as process:
        module = psutil.Process(process.pid)

        def recording_alone() -> bool:
            """Whether the ffmpeg that reads the file has given all of it."""
            children = module.children()
            return len(children) == 1 and ffmpeg_of(module, ".open") == children[0]

        wait_until(recording_alone)
        recording = ffmpeg_of(module, ".open")
        assert recording is not None
        if ends_by == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        with pytest.raises(psutil.TimeoutExpired):  # it waits, although it has been told to end
            psutil.Process(process.pid).wait(4)
        recording.resume()
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert out.startswith(b"Recorded ") and not list(door.glob("*.open"))
    found = shown(door)
    assert found and found == times[: len(found)]
    assert ends_by == "Ctrl-C" or len(found) == len(times)


def test_a_second_interrupt_ends_the_waiting_for_a_slow_ffmpeg(program: Program) -> None:
    video(program.here / "visit.mkv", 60)
    door = program.here / "door"
    as_it_was_captured = recording_by(program, 'exec "$ffmpeg" -re "$@"')
    with program.start_warm(
        "record", "visit.mkv", "--storage", "door", "--size-gb", "1", **as_it_was_captured
    ) as process:
        wait_until(lambda: any(path.stat().st_size > 3_000 for path in door.glob("*.open")))
        recording = ffmpeg_of(psutil.Process(process.pid), ".open")
        assert recording is not None
        recording.suspend()
        process.send_signal(signal.SIGINT)
        said = b""
        while b"Ctrl-C drops it" not in said:
            said = process.stderr.readline()
            assert said
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0 and out.startswith(b"Recorded ")
    assert shown(door) and not list(door.glob("*.open"))  # what was in the file is kept


def test_a_duration_is_that_of_the_recording_however_slowly_a_file_is_encoded(program: Program) -> None:
    slow = f"testsrc=size=160x144:rate={FPS},realtime=speed=0.4"
    arguments = "record", slow, "--format", "lavfi", "--storage", "door", "--size-gb", 1, "--duration", "2s"
    done = program(*arguments, "--preset", "ultrafast")
    assert done.code == 0, done.err
    assert done.out.startswith("Recorded 2.0 s into ")
    segments = (program.here / "door").glob("*.mp4")
    assert sum(len(read_fragments(path).times_us) for path in segments) == 2 * FPS


def test_a_file_on_a_full_disk_ends_with_the_true_reason(small_disk: Path, tmp_path: Path) -> None:
    program = Program.create(tmp_path)
    video(program.here / "visit.mkv", 20)
    with (small_disk / "foreign").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(1 << 16))
    done = program("record", "visit.mkv", "--storage", small_disk / "door", "--size-gb", 1)
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("videostore: Nothing was recorded: ") and "No space left on device" in last
    assert not done.out


CONTAINERS = ["mkv", "mp4", "ts", "avi", "flv", "h264"]


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_file_that_is_cut_off_is_told_and_one_that_is_whole_is_not(
    tmp_path: Path, binary: str, container: str
) -> None:
    path, cut = tmp_path / f"whole.{container}", tmp_path / f"cut.{container}"
    video(tmp_path / "source.mkv", 1.5)
    faststart = ["-movflags", "+faststart"] if container == "mp4" else []
    coding = ["-c", "copy"] if container != "avi" else ["-c:v", "mjpeg"]
    converting = await asyncio.create_subprocess_exec(
        *(binary, "-v", "error", "-i", str(tmp_path / "source.mkv"), *coding, *faststart, str(path))
    )
    assert await converting.wait() == 0
    data = path.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3 // 188 * 188 + 50])
    for file, missing in ((path, False), (cut, True)):
        source = open_input(file, binary)
        await source.probe()
        packets = [item async for item in source.packets() if isinstance(item, Packet)]
        assert packets and bool(source.shortfall) == missing, source.shortfall


def test_a_recording_of_a_file_that_is_cut_off_is_incomplete(program: Program) -> None:
    video(program.here / "whole.mkv", 2)
    whole = (program.here / "whole.mkv").read_bytes()
    (program.here / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    done = program("record", "cut.mkv", "--storage", "door", "--size-gb", 1)
    assert done.code == 3
    assert done.err.splitlines()[-1] == "videostore: The input is cut off: it is shorter than it says itself."
    (segment,) = (program.here / "door").glob("*.mp4")
    assert probe(segment).end_us - probe(segment).start_us > US / 2
