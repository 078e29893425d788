from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.coding import write_video
from tests.support.recording import START_US, US, capture_times
from videostore.base.errors import RequestError
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.footage import Footage, survey, survey_beginning

TIMES = capture_times(3, fps=20, seed=None)


def look(path: Path) -> Footage:
    return survey(path, lambda _: None, lambda: False)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
def test_frames_and_times_are_those_of_the_file(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"video{suffix}"
    write_video(path, codec, TIMES)
    found = look(path)
    assert (found.codec, found.frames, found.skipped, found.uncopyable) == (codec, len(TIMES), 0, "")
    assert (found.width, found.height) == (160, 144)
    assert found.first_us == found.begin_us
    assert found.length_us == pytest.approx(TIMES[-1] - TIMES[0], abs=1000)
    assert found.longest_us == pytest.approx(US / 20, abs=1000)
    assert 0 < found.size_bytes < path.stat().st_size


@pytest.mark.parametrize(("suffix", "b_frames"), [(".mp4", 0), (".mkv", 2), (".ts", 2)])
def test_the_first_packets_tell_how_a_file_begins_and_the_header_how_long_it_is(
    tmp_path: Path, suffix: str, b_frames: int
) -> None:
    path = tmp_path / f"video{suffix}"
    times = capture_times(30, fps=30, seed=None)
    write_video(path, "h264", times, b_frames=b_frames)
    beginning, whole = survey_beginning(path), look(path)
    assert beginning.frames < whole.frames == len(times)
    assert beginning.begins_like(whole)
    assert beginning.length_us == pytest.approx(whole.length_us, abs=200_000)


def test_a_beginning_is_not_that_of_a_file_with_a_gap_or_another_first_frame(tmp_path: Path) -> None:
    path, other = tmp_path / "video.mp4", tmp_path / "other.mp4"
    times = [START_US + number * 50_000 for number in (*range(700), *range(2000, 2100))]
    write_video(path, "h264", times)
    whole = look(path)
    assert len(whole.gaps_us) == 1 and not survey_beginning(path).gaps_us
    assert not survey_beginning(path).begins_like(whole)
    write_video(other, "h264", TIMES)
    late = replace(look(other), first_us=50_000)
    assert not late.begins_like(look(other))


async def test_what_cannot_be_stored_as_it_is_says_why(tmp_path: Path) -> None:
    reordered, old, plain = tmp_path / "b.mp4", tmp_path / "old.mp4", tmp_path / "plain.mp4"
    write_video(reordered, "h264", TIMES, b_frames=2)
    write_video(old, "mpeg4", TIMES)
    write_video(plain, "h264", TIMES)
    assert look(reordered).uncopyable == ""
    assert look(reordered).frames == len(TIMES)
    assert look(old).uncopyable == "its codec is mpeg4"
    gray, apart = tmp_path / "444.mp4", tmp_path / "apart.mkv"
    source = ["-f", "lavfi", "-i", "testsrc=size=160x144:rate=1:duration=40"]
    coding = ["-c:v", "libx264", "-bf", "0", "-preset", "ultrafast"]
    run = [find_ffmpeg(), "-v", "error"]
    await run_ffmpeg([*run, *source, *coding, "-pix_fmt", "yuv444p", str(gray)])
    await run_ffmpeg([*run, *source, *coding, "-pix_fmt", "yuv420p", "-g", "1000", str(apart)])
    assert "yuv444p" in look(gray).uncopyable
    assert look(apart).uncopyable == "no keyframe for 39 s"


def test_a_stream_that_begins_between_two_keyframes_is_taken_from_the_next_one_on(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.ts", tmp_path / "cut.ts"
    write_video(whole, "h264", TIMES, gop=20)
    data = whole.read_bytes()
    cut.write_bytes(data[: 188 * 3] + data[188 * (len(data) // 188 // 6) :])
    found = look(cut)
    assert found.skipped > 0
    assert found.frames == 40
    assert found.first_us - found.begin_us == pytest.approx(found.skipped * US / 20, abs=1000)


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    one, other, copy = tmp_path / "one.mp4", tmp_path / "other.mp4", tmp_path / "copy.mp4"
    write_video(one, "h264", TIMES)
    write_video(other, "h264", [time_us + US for time_us in TIMES])
    shutil.copyfile(one, copy)
    assert look(one).digest == look(copy).digest != look(other).digest


@pytest.mark.parametrize("suffix", [".h264", ".ffconcat", ".txt"])
def test_files_without_times_and_playlists_are_refused(tmp_path: Path, suffix: str) -> None:
    video, path = tmp_path / "video.mp4", tmp_path / f"other{suffix}"
    write_video(video, "h264", TIMES)
    if suffix == ".h264":
        write_video(path, "h264", TIMES)
    else:
        path.write_text(f"ffconcat version 1.0\nfile {video.name}\n")
    with pytest.raises(RequestError) as refused:
        look(path)
    assert refused.value.code == "import-unreadable"
    assert "none of MP4, MOV, Matroska" in str(refused.value)


def test_a_pipe_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("pipe", "not a regular file"), ("gone", "No such file")):
        with pytest.raises(RequestError, match=reason):
            look(tmp_path / name)


def test_a_name_that_ffmpeg_cannot_be_told_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    write_video(tmp_path / "video.mp4", "h264", TIMES)
    os.rename(tmp_path / "video.mp4", path)
    with pytest.raises(RequestError, match="its path is not UTF-8"):
        look(path)


def test_it_ends_early_when_it_is_told_to(tmp_path: Path) -> None:
    write_video(tmp_path / "video.mp4", "h264", TIMES)
    with pytest.raises(InterruptedError):
        survey(tmp_path / "video.mp4", lambda _: None, lambda: True)


def test_nothing_of_the_file_is_in_its_times(tmp_path: Path) -> None:
    assert TIMES[0] == START_US
    write_video(tmp_path / "video.mkv", "h264", TIMES)
    assert look(tmp_path / "video.mkv").begin_us == 0


def test_gaps_are_those_of_a_recorder_and_lie_before_keyframes(tmp_path: Path) -> None:
    path = tmp_path / "video.mkv"
    times = [START_US + number * US // 10 for number in (*range(24), *range(200, 236), *range(300, 306))]
    write_video(path, "h264", times, gop=12)
    found = look(path)
    assert found.gaps_us == ((2_300_000, 20_000_000), (23_500_000, 30_000_000))
    assert found.stretches_us == (0, 20_000_000, 30_000_000)
    assert (found.usual_us, found.longest_us) == (100_000, 100_000)
    # A segment cannot begin within a group of pictures: there the last frame before is shown meanwhile.
    write_video(path, "h264", times[:30], gop=1000)
    assert look(path).gaps_us == () and look(path).longest_us == 17_700_000


async def test_a_file_that_was_put_together_of_others_is_refused(tmp_path: Path) -> None:
    one, both = tmp_path / "one.ts", tmp_path / "both.ts"
    write_video(one, "h264", TIMES)
    both.write_bytes(one.read_bytes() * 2)
    with pytest.raises(RequestError, match="its times go back"):
        look(both)


async def test_what_an_edit_list_hides_is_not_the_first_frame(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.mp4", tmp_path / "part.mp4"
    write_video(whole, "h264", TIMES, gop=20)
    await run_ffmpeg([find_ffmpeg(), "-v", "error", "-ss", "1.3", "-i", str(whole), "-c", "copy", str(part)])
    found = look(part)
    assert found.uncopyable == "it starts with hidden frames"
    assert found.begin_us == found.first_us
    assert found.frames == len(TIMES) - 26
