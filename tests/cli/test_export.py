from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.go_index import go_index
from tests.support.program import TIMEOUT_S, Program, contents, exact, summer_time
from tests.support.recording import US
from videostore.base.time_format import up_to_millisecond
from videostore.cli.time_options import format_length, format_time
from videostore.ffmpeg.process import find_ffmpeg


@pytest.mark.parametrize("options", [[], ["--fmp4"]])
def test_a_clip_shows_every_frame_of_its_range_and_no_other(
    program: Program, recording: Path, times: list[int], unchanged: None, options: list[str]
) -> None:
    from_us, to_us = times[13] - 1, times[41]
    done = program("export", exact(from_us), exact(to_us), "--storage", recording, "-o", "clip.mp4", *options)
    assert done.code == 0 and not done.err
    clip = program.here / "clip.mp4"
    shown = read_clip(clip)
    assert [frame.captured_us for _, frame in shown if frame] == times[13:41]
    assert check_clip(shown, times, from_us, to_us).drift_ms < 5
    first, second = done.out.splitlines()
    assert re.fullmatch(r"clip\.mp4  [\d.]+ KiB", first)
    length = format_length(to_us - from_us)
    assert second == f"holds  {summer_time(from_us)} to {summer_time(up_to_millisecond(to_us))}  ({length})"
    assert os.listdir(program.here) == ["clip.mp4"] and not program.temporary_files()


def test_a_clip_is_named_after_the_recorder_and_its_start(program: Program, recording: Path, times: list[int]) -> None:
    name = f"{recording.name}_2024-08-30_08-40-01.mp4"
    arguments = "export", exact(times[0] + US), "+2s", "--storage", recording
    assert program(*arguments).code == 0
    assert [path.name for path in program.here.iterdir()] == [name]
    assert f"The file {program.here / name} exists" in program(*arguments).sentence
    again = program(*arguments, "--overwrite", "-o", ".")  # a directory
    assert again.code == 0 and again.out.startswith(f"{name}  ")


def test_a_clip_with_a_gap_reports_the_gap_and_exits_with_3(
    program: Program, recording: Path, times: list[int]
) -> None:
    asked = exact(times[0] - 90 * US), exact(times[20])
    done = program("export", *asked, "--storage", recording, "-o", "clip.mp4", "--utc")
    assert done.code == 3
    assert done.sentence == (
        f"The clip lacks 1 min 30 s of {format_length(times[20] - times[0] + 90 * US)}: nothing is stored from "
        f"{format_time(times[0] - 90 * US, utc=True)} to {format_time(times[0], utc=True)}."
    )
    end = format_time(up_to_millisecond(times[20]), utc=True)
    assert f"holds  {format_time(times[0], utc=True)} to {end}  (" in done.out
    assert len(read_clip(program.here / "clip.mp4")) == 20


def test_a_clip_is_written_to_a_pipe_while_it_is_made(program: Program, recording: Path, times: list[int]) -> None:
    arguments = program.command("export", exact(times[7]), exact(times[33]), "--storage", recording, "-o", "-")
    done = subprocess.run(
        arguments, cwd=program.here, env=program.environment(), capture_output=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0 and not done.stderr
    assert [frame.captured_us for _, frame in read_clip(done.stdout) if frame] == times[7:33]
    assert not os.listdir(program.here) and not program.temporary_files()


def test_a_reader_that_stops_reading_causes_no_message(program: Program, recording: Path, times: list[int]) -> None:
    with program.start_warm("export", exact(times[0]), exact(times[-1]), "--storage", recording, "-o", "-") as process:
        assert len(process.stdout.read(100)) == 100
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(TIMEOUT_S) in (0, 1)  # all of it may have fitted into the pipe
    with program.start_warm("state", "--storage", recording) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(TIMEOUT_S) == 1


def test_a_copy_that_may_only_be_read_can_be_exported_from(
    program: Program, recording: Path, times: list[int], tmp_path: Path
) -> None:
    copy = tmp_path / "stick"
    shutil.copytree(recording, copy)
    for path in [*copy.iterdir(), copy]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        before = contents(copy)
        done = program("export", exact(times[5]), exact(times[25]), "--storage", copy, "-o", "clip.mp4")
        assert done.code == 0 and len(read_clip(program.here / "clip.mp4")) == 20
        assert contents(copy) == before
    finally:
        copy.chmod(0o755)


def test_segments_and_an_index_of_the_go_module_are_read(
    program: Program, go_storage: Path, go_start_s: int, tmp_path: Path
) -> None:
    yard = tmp_path / "yard"
    shutil.copytree(go_storage, yard)
    sizes = {path.name: path.stat().st_size for path in yard.iterdir()}
    go_index(yard, *((name, int(name[:-4]), 2000, size) for name, size in sizes.items()))
    before = contents(yard)
    assert len(json.loads(program("state", "--json", "--storage", yard).out)["ranges"]) == 25
    done = program("export", format_time((go_start_s + 100) * US), "+1s", "--storage", yard, "-o", "clip.mp4")
    assert done.code == 0 and len(read_clip(program.here / "clip.mp4")) == 10
    assert contents(yard) == before


def test_a_clip_is_not_written_into_the_storage_directory(program: Program, go_storage: Path, go_start_s: int) -> None:
    target = go_storage / f"{go_start_s + 50}.mp4"
    done = program("export", format_time(go_start_s * US), "+1s", "--storage", go_storage, "-o", target)
    assert done.code == 2 and "storage directory" in done.sentence


def test_a_second_export_is_the_same_byte_for_byte_and_that_of_a_copy_has_the_same_pictures(
    program: Program, recording: Path, times: list[int], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(recording, tmp_path / "another-name"))
    clips = [tmp_path / f"{number}.mp4" for number in range(3)]
    for clip, storage in zip(clips, (recording, recording, copy), strict=True):
        done = program("export", exact(times[3]), exact(times[40]), "--storage", storage, "-o", clip)
        assert done.code == 0 and not done.err
    first, second, other = (clip.read_bytes() for clip in clips)
    assert first == second != other
    options = ["-map", "0:v", "-c", "copy", "-f", "hash", "-"]
    hashes = [subprocess.check_output([find_ffmpeg(), "-v", "error", "-i", str(clip), *options]) for clip in clips]
    assert hashes[0].startswith(b"SHA256=") and len(set(hashes)) == 1
