from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.clapping import write_clapping
from tests.support.coding import write_video
from tests.support.program import Program, exact, summer_time, wait_for, wait_until
from tests.support.recording import START_US, US, capture_times
from videostore.ffmpeg.process import BINARY_VARIABLE, find_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.footage import survey
from videostore.media.import_tag import read_import
from videostore.storage.import_stage import STAGE

TIMES = capture_times(4, fps=20)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of painted images, whose file does not tell when they were captured."""
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    write_video(path, "h264", TIMES)
    return path


def test_a_file_is_imported_once_and_exported_exactly(program: Program, video: Path) -> None:
    done = program("import", video, "--storage", "sd", "--start", exact(START_US))
    assert (done.code, done.err) == (0, "")
    shown = re.escape(summer_time(START_US))
    assert re.fullmatch(rf"video\.mp4  {shown} to \S+  \(4\.[0-9] s\)\n", done.out)
    again = program("import", video, "--storage", "sd", "--start", exact(START_US))
    assert again.code == 0 and again.out == done.out
    assert again.sentence == f"{video} was imported before. Nothing was added."
    state = json.loads(program("state", "--json", "--storage", "sd").out)
    assert state["stored_seconds"] == pytest.approx(4, abs=0.2)
    clip = program("export", exact(TIMES[5]), exact(TIMES[50]), "-o", "clip.mp4", "--storage", "sd")
    assert clip.code == 0
    painted = [frame.captured_us for _, frame in read_clip(program.here / "clip.mp4") if frame]
    assert painted == TIMES[5:50]
    assert sorted(path.name for path in program.here.iterdir()) == ["clip.mp4", "sd"]


def test_sound_is_imported_unless_it_is_to_be_left_out(program: Program) -> None:
    write_clapping(program.here / "phone.mp4", 2)
    for directory, options in (("with", ()), ("without", ("--no-audio",))):
        done = program("import", "phone.mp4", "--storage", directory, "--start", exact(START_US), *options)
        assert (done.code, done.err) == (0, "")
        (segment,) = (program.here / directory).glob("*.mp4")
        assert (read_fragments(segment).sound is None) == bool(options)


def test_names_tell_the_times_of_several_files(program: Program, video: Path) -> None:
    names = ["20240830_083000.mp4", "20240830_083100.mp4"]
    for number, name in enumerate(names):
        write_video(program.here / name, "h264", [time_us + number * 60 * US for time_us in TIMES])
    done = program("import", *names, "--storage", "sd")
    assert (done.code, done.err) == (0, "")
    assert re.findall(r"  (\S+) to ", done.out) == [
        "2024-08-30T08:30:00.000+02:00",
        "2024-08-30T08:31:00.000+02:00",
    ]
    assert len(json.loads(program("state", "--json", "--storage", "sd").out)["ranges"]) == 2


def test_what_is_doubtful_or_wrong_is_refused_with_a_way_out(program: Program, video: Path) -> None:
    nameless = program("import", video, "--storage", "sd")
    assert nameless.code == 2 and "Say when its first frame was, with --start TIME" in nameless.sentence
    several = program("import", video, video, "--storage", "sd", "--start", "2024-08-30T08:30:00Z")
    assert several.code == 2 and "--start is the time of one file" in several.sentence
    wrong = program("import", video, "--storage", "sd", "--start", "yesterday")
    assert wrong.code == 2 and "--start is not a valid time: 'yesterday'" in wrong.sentence
    gone = program("import", "gone.mp4", "--storage", "sd")
    assert gone.code == 2 and "gone.mp4 cannot be imported: No such file or directory" in gone.sentence
    assert not (program.here / "sd").exists()


def test_what_is_encoded_or_incomplete_is_told(program: Program) -> None:
    write_video(program.here / "b.avi", "mpeg4", TIMES)
    encoded = program("import", "b.avi", "--storage", "sd", "--start", "2024-08-30T08:30:00Z")
    assert encoded.code == 0
    assert encoded.sentence == "b.avi was re-encoded: its codec is mpeg4."
    write_video(program.here / "whole.mkv", "h264", TIMES)
    whole = (program.here / "whole.mkv").read_bytes()
    (program.here / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    cut = program("import", "cut.mkv", "--storage", "sd", "--start", "2024-08-30T09:30:00Z")
    assert cut.code == 3 and cut.sentence == "cut.mkv is cut off: it is shorter than it says itself."


def test_ctrl_c_leaves_nothing_of_a_file(program: Program, video: Path) -> None:
    written = program.home / "written"
    real = find_ffmpeg()
    waits = f'case "$*" in *itsoffset*) "{real}" "$@"; touch "{written}"; exec sleep 600;; esac'
    ffmpeg = program.script("ffmpeg", waits, f'exec "{real}" "$@"')
    arguments = ("import", video, "--storage", "sd", "--start", exact(START_US))
    with program.start_warm(*arguments, **{BINARY_VARIABLE: str(ffmpeg)}) as process:
        wait_for(written)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert not (program.here / "sd").exists()
    assert program("import", video, "--storage", "sd", "--start", exact(START_US)).code == 0


def test_a_kill_at_any_moment_leaves_nothing_that_the_next_import_does_not_complete_or_remove(program: Program) -> None:
    video, times = program.here / "long.mp4", [START_US + number * US for number in range(90)]
    write_video(video, "h264", times, gop=5)
    digest = survey(video, lambda _: None, lambda: False).digest
    directory = program.here / "sd"

    def kill_at(moment: Callable[[], bool]) -> None:
        with program.start_warm("import", video, "--storage", "sd", "--start", exact(START_US)) as process:
            wait_until(lambda: moment() or process.poll() is not None)
            process.kill()

    staged, stored = directory / STAGE, [directory / "index.sqlite.db", directory / STAGE]
    for moment in (
        lambda: any(path.exists() for path in stored),
        lambda: bool(list(staged.glob("*-000000.open"))),
        lambda: bool(list(staged.glob("*-000001.open"))),
        lambda: bool(list(directory.glob("*.open"))),
        lambda: bool(list(directory.glob("*.mp4"))),
    ):
        kill_at(moment)
        # What is in the directory is whole and tells its file.
        assert {read_import(one) for one in directory.glob("*.[om]p*")} <= {digest}
        done = program("import", video, "--storage", "sd", "--start", exact(START_US))
        assert done.code == 0, done.err
        assert not staged.exists() and not list(directory.glob("*.open"))
        painted = [time_us for one in sorted(directory.glob("*.mp4")) for time_us in read_fragments(one).times_us]
        assert painted == times
        shutil.rmtree(directory)


def test_a_refused_file_does_not_keep_the_others_out(program: Program, video: Path) -> None:
    for number in (0, 1):
        times = [time_us + number * 60 * US for time_us in TIMES]
        write_video(program.here / f"20240830_08300{number}.mp4", "h264", times)
    (program.here / "20240830_083500.mp4").write_bytes(b"no video")
    names = ["20240830_083000.mp4", "20240830_083500.mp4", "gone.mp4", str(video), "20240830_083001.mp4"]
    done = program("import", *names, "--storage", "sd")
    assert done.code == 3
    assert [line.split()[0] for line in done.out.splitlines()] == [names[0], names[-1]]
    told = done.err.splitlines()
    assert [word in line for word, line in zip(["083500.mp4", "gone.mp4", "--start"], told, strict=True)] == [True] * 3
    none = program("import", "gone.mp4", str(video), "--storage", "other")
    assert none.code == 2 and len(none.err.splitlines()) == 2 and not (program.here / "other").exists()


def test_a_file_that_is_stored_from_another_time_is_refused_with_both_times(program: Program, video: Path) -> None:
    assert program("import", video, "--storage", "sd", "--start", exact(START_US)).code == 0
    again = program("import", video, "--storage", "sd", "--start", exact(START_US + 60 * US))
    assert again.code == 2
    assert f"was imported before, from {summer_time(START_US)} on" in again.sentence
    assert f"from {summer_time(START_US + 60 * US)} on" in again.sentence
