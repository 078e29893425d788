from __future__ import annotations

import asyncio
import fcntl
import json
import math
import os
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import psutil
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.program import TIMEOUT_S, Program, Result, exact, read_time
from tests.support.recording import SMALL, capture_times, record
from videostore.cli import record as command
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.segment import probe
from videostore.recording.health import RecorderHealth
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.store.results import Health
from videostore.store.store import VideoStore


@pytest.fixture(scope="session")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of H.264: two seconds of painted images at 10 frames/s, each with its capture time in it."""

    async def build() -> None:
        await record(directory, capture_times(2, seed=None), size=SMALL, segment_seconds=10)
        (segment,) = directory.glob("*.open")
        await run_ffmpeg([find_ffmpeg(), "-v", "error", "-i", str(segment), "-c", "copy", str(path)])

    directory = tmp_path_factory.mktemp("visit")
    path = directory / "visit.mkv"
    asyncio.run(build())
    return path


def test_a_file_is_recorded_without_re_encoding_until_its_end(program: Program, visit: Path) -> None:
    before_us = time.time_ns() // 1000
    done = program("record", visit, "--storage", "door", "--size-gb", 1)
    assert done.code == 0
    assert re.match(r"videostore: The input is h264 of 160x144, recorded without re-encoding\.\n", done.err)
    assert "Recording.\n" in done.err and "Not recording" not in done.err and "\x1b" not in done.err
    assert re.match(rf"Recorded (?:1\.9|2\.0) s into {program.here / 'door'}\nfrom  \S+\nto    \S+\n$", done.out)
    assert [path.name for path in program.here.iterdir()] == ["door"]
    (segment,) = (program.here / "door").glob("*.mp4")
    assert before_us < probe(segment).start_us < time.time_ns() // 1000
    shown = [frame for _, frame in read_clip(segment)]
    assert [frame.captured_us for frame in shown if frame] == [
        frame.captured_us for _, frame in read_clip(visit) if frame
    ]
    state = json.loads(program("state", "--json", "--storage", "door").out)
    assert state["stored_seconds"] == pytest.approx(2.0, abs=0.2)
    assert not program.temporary_files()


async def test_sound_is_recorded_unless_it_is_to_be_left_out_which_is_said(program: Program, visit: Path) -> None:
    sounding = program.here / "sounding.mkv"
    tone = ["-f", "lavfi", "-i", "sine=duration=2", "-c:v", "copy", "-c:a", "aac"]
    await run_ffmpeg([find_ffmpeg(), "-v", "error", "-i", str(visit), *tone, str(sounding)])
    done = await program.run_in_thread("record", sounding, "--storage", "door", "--size-gb", 1)
    assert done.code == 0 and " with sound, recorded without re-encoding" in done.err and "not recorded" not in done.err
    done = await program.run_in_thread("record", sounding, "--storage", "yard", "--size-gb", 1, "--no-audio")
    assert done.code == 0 and done.err.count("videostore: The sound of the input is not recorded.\n") == 1
    for directory, sounds in (("door", True), ("yard", False)):
        (segment,) = (program.here / directory).glob("*.mp4")
        with av.open(str(segment)) as container:
            assert bool(container.streams.audio) == sounds


def test_an_input_that_is_not_h264_is_re_encoded_and_a_duration_ends_it(program: Program) -> None:
    source = "testsrc=size=160x144:rate=10"
    arguments = "record", source, "--format", "lavfi", "--reencode", "--preset", "ultrafast", "--storage", "door"
    done = program(*arguments, "--size-gb", "1", "--duration", "2s", "--segment-seconds", "1")
    assert done.code == 0 and "The input is re-encoded" in done.err
    found = re.search(r"Recorded (\d\.\d) s into", done.out)
    assert found is not None and 1.5 <= float(found[1]) <= 3
    assert len(list((program.here / "door").glob("*.mp4"))) >= 2 and not list((program.here / "door").glob("*.open"))


async def test_a_recording_with_dropped_frames_is_incomplete(
    visit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for_end = command._wait_for_end

    async def lossy(store: VideoStore, source: FFmpegInput, duration_s: float | None) -> Any:
        end = await wait_for_end(store, source, duration_s)
        return replace(end, health=end.health and replace(end.health, dropped_frames=7))

    monkeypatch.setattr(command, "_wait_for_end", lossy)
    nothing: dict[str, Any] = dict.fromkeys(("segment_seconds", "codec", "bitrate", "preset", "framerate", "format"))
    door = tmp_path / "door"
    options = command.RecordOptions(
        str(visit), door, 1, **nothing, reencode=False, sound=True, options={}, duration_s=None
    )
    assert await command.record(options) == 3
    assert "7 frames were not recorded: ffmpeg was too slow for them, or failed.\n" in capsys.readouterr().err


async def test_a_duration_counts_from_the_first_frame_though_ffmpeg_still_holds_it() -> None:
    class Source:
        first_us = time.time_ns() // 1000

    looks = list[None]()
    endless = asyncio.get_running_loop().create_future()
    waiting: Any = command._wait(endless, lambda: looks.append(None), Source, 0.3, math.inf)  # type: ignore[arg-type]
    await asyncio.wait_for(waiting, TIMEOUT_S)
    assert looks and not endless.done()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_segment(program: Program, visit: Path, number: signal.Signals) -> None:
    """Of frames that are encoded, and of such that are copied."""
    endless: tuple[object, ...] = "testsrc=size=160x144:rate=10", "--format", "lavfi"
    version = subprocess.run([find_ffmpeg(), "-version"], capture_output=True, text=True, check=True).stdout
    if number is signal.SIGTERM and "version 5." not in version:  # which cannot copy a file again and again
        endless = visit, "--option", "stream_loop=-1"
    arguments = "record", *endless, "--storage", "door", "--size-gb", "1"
    start = program.start if number is signal.SIGINT else program.start_warm
    with start(*arguments) as process:
        door = program.here / "door"
        deadline = time.monotonic() + TIMEOUT_S
        while not any(path.stat().st_size > 3_000 for path in door.glob("*.open")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        large_pages = [
            found[1]
            for child in children
            if (
                found := re.search(r"^THP_enabled:\s*(\d)", Path(f"/proc/{child.pid}/status").read_text(), re.MULTILINE)
            )
        ]
        process.send_signal(number)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0 and out.startswith(b"Recorded ")
    assert "1" not in large_pages  # of which x264 fills few
    assert len(children) == 2 and not psutil.wait_procs(children, 5)[1]
    (segment,) = door.glob("*.mp4")
    assert not list(door.glob("*.open")) and not program.temporary_files()
    end_us = probe(segment).end_us
    assert read_time(exact(end_us)) == end_us and len(read_clip(segment)) > 5  # up to the last frame


def test_a_terminal_gets_a_status_line(program: Program, visit: Path) -> None:
    code, drawn = program.on_terminal("record", visit, "--storage", "door", "--size-gb", "1", columns=120)
    assert code == 0
    assert re.search(r"Recording for [0-9.]+ s: \d+\.\d frames/s, .* stored\. Ctrl-C stops\.", drawn)
    assert "\x1b[?25h" in drawn  # the cursor is visible again


MISTAKES: list[tuple[list[str], list[str]]] = [
    (["nowhere.mkv"], ["nowhere.mkv", "there is no such file or device"]),
    (["VISIT", "--size-gb", "0"], ["--size-gb is 0. It must be"]),
    (["VISIT", "--segment-seconds", "0.1"], ["--segment-seconds is 0.1. It must be"]),
    (["VISIT", "--codec", "h264_teapot"], ["--codec is 'h264_teapot'", "h264"]),
    (["VISIT", "--size-gb", "much"], ["--size-gb is 'much'. It must be a number."]),
    (["VISIT", "--bitrate", "-5"], ["--bitrate is -5. It must be a whole number greater than 0"]),
    (["VISIT", "--preset", "warp"], ["--preset is 'warp'. It must be one of ultrafast"]),
    (["VISIT", "--duration", "long"], ["--duration is 'long'. It must be a length such as 90s"]),
    (["VISIT", "--option", "udp"], ["--option is 'udp'. It must be KEY=VALUE"]),
    (["VISIT", "--bitrate", "fast"], ["--bitrate is 'fast'. It must be a whole number."]),
    (["rtsp://user:/secret@127.0.0.1/x"], ["…@127.0.0.1/x cannot be recorded: its URL is wrong", "%2F"]),
    (["rtsp://user:/secret@127.0.0.1/x", "--wait"], ["…@127.0.0.1/x cannot be recorded: its URL is wrong", "%2F"]),
    (["rtsp://user:secret@camera/x", "rtsp://user:secret@camera/y"], ["…@camera/y"]),
]  # fmt: skip
"""Wrong command lines, and words of the message."""


def test_a_mistake_is_answered_with_one_sentence(program: Program, visit: Path) -> None:
    def call(arguments: list[str]) -> Result:
        quota = [] if "--size-gb" in arguments else ["--size-gb", "1"]
        named = [str(visit) if argument == "VISIT" else argument for argument in arguments]
        return program("record", *named, *quota, "--storage", "door")

    with ThreadPoolExecutor(2) as pool:
        for done, (_, words) in zip(pool.map(call, [arguments for arguments, _ in MISTAKES]), MISTAKES, strict=True):
            assert done.code == 2 and not done.out
            assert all(word in done.sentence for word in words), done.sentence
            assert "secret" not in done.err
    assert not os.listdir(program.here)


def test_a_storage_directory_that_cannot_be_created_is_refused_with_the_reason(program: Program, visit: Path) -> None:
    for path in ("/proc/door", "/dev/null/door"):
        done = program("record", visit, "--storage", path, "--size-gb", 1)
        assert done.code != 0
        reason = done.err.splitlines()[-1]
        assert reason.startswith(f"videostore: --storage {path!r} cannot be created: "), reason


def test_a_directory_that_another_recorder_uses_is_refused(program: Program, visit: Path) -> None:
    door = program.here / "door"
    door.mkdir()
    descriptor = os.open(door, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        done = program("record", visit, "--storage", "door", "--size-gb", "1")
    finally:
        os.close(descriptor)
    assert done.code == 1
    assert f"videostore: --storage '{door}' is used by process " in done.err


def test_what_an_input_has_kept_and_sends_at_once_counts_as_recorded(program: Program) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=4", "-c:v", "libx264", "-bf", "0", "-g", "10"]
    asyncio.run(run_ffmpeg([find_ffmpeg(), "-v", "error", *source, str(program.here / "kept.ts")]))
    done = program("record", "concat:kept.ts", "--storage", "door", "--size-gb", 1, "--duration", "2s")
    assert done.code == 0, done.err
    start = re.search(r"^(?:from|holds) +(\S+)", done.out, re.MULTILINE)
    assert done.out.startswith("Recorded ") and start is not None
    assert "Nothing was recorded" not in done.err
    first = min((program.here / "door").glob("*.mp4"))
    assert abs(read_time(start[1]) - probe(first).start_us) < 1000


def test_a_camera_that_does_not_answer_is_reported_without_its_password(program: Program) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nothing listens on it
        url = f"rtsp://user:secret@127.0.0.1:{bound.getsockname()[1]}/door"
        with program.start_warm("record", url, "--storage", "door", "--size-gb", "1", "--verbose") as process:
            messages = b""
            while b"Not recording: the input" not in messages:
                line = process.stderr.readline()
                assert line, messages
                messages += line
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert b"The input does not answer." in messages and b"Nothing was recorded: the input rtsp" in rest
    assert b"secret" not in messages + rest
    assert not (program.here / "door-clips").exists()


def test_a_camera_that_does_not_answer_is_waited_for_as_long_as_the_recording_was_to_be(program: Program) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"rtsp://127.0.0.1:{bound.getsockname()[1]}/door"
        done = program("record", url, "--duration", "1s", "--storage", "door", "--size-gb", "1")
    assert done.code == 1 and "It is tried again until it does, for 1.0 s; Ctrl-C stops." in done.err
    assert "Nothing was recorded: the input rtsp" in done.err


def test_what_the_quota_deleted_is_told_at_the_end(program: Program) -> None:
    source = ["testsrc=size=320x180:rate=10", "--format", "lavfi", "--duration", "5s", "--segment-seconds", "1"]
    done = program("record", *source, "--bitrate", "100000", "--storage", "door", "--size-gb", "0.00003")
    assert done.code == 0 and "The input is re-encoded: its codec is rawvideo." in done.err, done.err
    assert "videostore: Deleted to stay within the quota and the free space: 20" in done.err


@pytest.fixture
def without_encoders(program: Program) -> str:
    """An ffmpeg that has no encoder of H.264."""
    return str(
        program.script(
            "ffmpeg-without",
            'for one; do shift; case "$one" in -encoders) exit 0;; libx264) one=absent;; esac',
            'set -- "$@" "$one"; done',
            f'exec "{find_ffmpeg()}" "$@"',
        )
    )


def test_what_is_copied_needs_no_encoder_and_what_is_not_says_so(
    program: Program, visit: Path, without_encoders: str
) -> None:
    done = program("record", visit, "--storage", "door", "--size-gb", 1, VIDEOSTORE_FFMPEG=without_encoders)
    assert done.code == 0 and done.out.startswith("Recorded "), done.err
    pictures = program.here / "pictures.mkv"
    testsrc = ["-f", "lavfi", "-i", "testsrc=size=160x144:rate=10:duration=2"]
    subprocess.run([find_ffmpeg(), "-v", "error", *testsrc, "-c:v", "mjpeg", pictures], check=True)
    for source in (["testsrc=size=160x144:rate=10", "--format", "lavfi"], [pictures]):
        done = program("record", *source, "--storage", "gate", "--size-gb", 1, VIDEOSTORE_FFMPEG=without_encoders)
        assert done.code == 2 and "it has to be encoded, and this ffmpeg has no encoder for that" in done.sentence
    for named in (["--reencode"], ["--codec", "h264"]):
        done = program("record", visit, *named, "--storage", "gate", "--size-gb", 1, VIDEOSTORE_FFMPEG=without_encoders)
        assert done.code == 2 and "VIDEOSTORE_FFMPEG" in done.sentence


def health(recorded_frames: int, *, recording: bool, reason: str = "") -> Any:
    recorder = RecorderHealth(recording, reason, 0.0, None, None, 0, 0, 0, "", recorded_frames=recorded_frames)
    return Health(recorder, 0.0, 0, 0, 0, 0, 0, (), (), 0, [], None, None, None)


def test_it_is_recording_when_a_frame_was_recorded_not_when_an_ffmpeg_was_started(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with command._progress() as show:
        for recorded_frames, reason in ((0, "the disk is full"), (0, ""), (0, "the disk is full"), (0, ""), (2, "")):
            show(health(recorded_frames, recording=not reason, reason=reason), None)
        show(health(2, recording=False, reason="it does not answer"), None)
        show(health(2, recording=True), None)
    said = [line.split("  ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert said == ["Not recording: the disk is full.", "Recording.", "Not recording: it does not answer."]


def test_the_reason_why_all_was_deleted_again_has_what_was_wrong_meanwhile() -> None:
    recorded = health(9, recording=False, reason="the source ended").recorder
    for trouble, ending in (("", "and the free space"), ("the disk is full", "and the free space (the disk is full)")):
        end = command._End(replace(recorded, last_frame_age_s=None), "", trouble, None, "")
        assert end.reason == "the source ended"
        assert command._End(replace(recorded, last_frame_age_s=1.0), "", trouble, None, "").reason.endswith(ending)
