from __future__ import annotations

import os
import random
import re
import shutil
from pathlib import Path

import av
import pytest

from tests.support.coding import coded_packets, record_coded, write_video
from tests.support.inputs import record_file
from tests.support.recording import SMALL, START_US, US, capture_times, record, take_over, write_foreign
from videostore.base.errors import RequestError
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.clip_reader import clip_frame, clip_times, read_clip_frame, read_clip_times
from videostore.media.stated_time import stated_start_us
from videostore.store.store import VideoStore

TIMES = capture_times(4)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `mp4.mp4` and `fmp4.mp4`, clips of the same range. Tests must not change them."""
    import asyncio

    async def build() -> None:
        await record(directory / "door", TIMES, size=SMALL)
        await take_over(directory / "door")
        async with VideoStore.open(directory / "door") as store:
            for container in ("mp4", "fmp4"):
                await store.export(TIMES[4], TIMES[-4], directory / f"{container}.mp4", container=container)

    directory = tmp_path_factory.mktemp("clips")
    asyncio.run(build())
    return directory


def refusal(path: Path) -> RequestError:
    """The error that both functions raise, whose sentence is one for people."""
    with pytest.raises(RequestError) as raised:
        read_clip_frame(path, US)
    with pytest.raises(RequestError) as same:
        read_clip_times(path)
    error = raised.value
    assert same.value.code == error.code and error.is_complete()
    assert str(path) in str(error) and "\n" not in str(error) and "Errno" not in str(error)
    return error


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
async def test_the_library_reads_a_clip_without_blocking_the_loop(clips: Path, container: str) -> None:
    path = clips / f"{container}.mp4"
    times = await clip_times(os.fsencode(path))
    assert (times.recorder, times.first_us, times.unlisted) == ("door", TIMES[4], 0)
    first = await clip_frame(str(path), 0)
    assert (first.position_us, first.captured_us, first.precision_us) == (0, TIMES[4], 0)
    second = await clip_frame(path, TIMES[6] - TIMES[4] - 20)
    assert abs(second.captured_us - TIMES[5]) <= second.precision_us == 12
    with pytest.raises(RequestError) as refused:
        await clip_frame(path, times.listed_us)
    assert refused.value.code == "position-beyond-clip"
    with pytest.raises(RequestError) as refused:
        await clip_frame(path, -1)
    assert refused.value.code == "position-negative"


def test_a_frame_that_begins_a_little_after_the_position_can_count_as_shown(clips: Path) -> None:
    position_us = TIMES[9] - TIMES[4]
    early = read_clip_frame(clips / "mp4.mp4", position_us - 500)
    assert abs(early.captured_us - TIMES[8]) <= 12
    near = read_clip_frame(clips / "mp4.mp4", position_us - 500, 999)
    assert abs(near.captured_us - TIMES[9]) <= 12


def test_what_is_no_file_or_no_video_is_refused(clips: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "null.mp4").symlink_to("/dev/zero")
    for name in ("missing.mp4", "pipe.mp4", "empty.mp4", "text.mp4", "null.mp4", ""):
        assert refusal(tmp_path / name).code == "clip-unreadable"


async def test_a_name_that_libav_would_take_for_a_url_is_a_file(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clips)
    for name in ("concat:mp4.mp4", "data:video", "file:mp4.mp4"):
        with pytest.raises(RequestError) as refused:
            read_clip_times(Path(name))
        assert refused.value.reason == "No such file or directory"
        shutil.copyfile("mp4.mp4", name)
        assert read_clip_times(Path(name)).first_us == TIMES[4]
        Path(name).unlink()


async def test_a_video_of_another_program_is_refused_with_what_its_header_says(tmp_path: Path, binary: str) -> None:
    foreign = tmp_path / "foreign.mp4"
    await write_foreign(foreign)
    assert refusal(foreign).code == "clip-untimed"
    dated = tmp_path / "dated.mp4"  # as videostore 0.1.0 does
    tag = ["-metadata", "creation_time=2024-08-30T06:40:00.123457Z"]
    await run_ffmpeg([binary, "-v", "error", "-i", str(foreign), "-c", "copy", *tag, str(dated)])
    error = refusal(dated)
    assert (error.code, error.fields["created_us"]) == ("clip-untimed-but-dated", START_US // US * US)


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
@pytest.mark.parametrize("changed", [b"2024-08-30T06:40:00.5", b"0:00:00.000000 2024"])
def test_a_clip_of_which_one_byte_of_a_time_was_changed_is_told_as_that(
    clips: Path, tmp_path: Path, container: str, changed: bytes
) -> None:
    data = (clips / f"{container}.mp4").read_bytes()
    places = [found.start() for found in re.finditer(re.escape(changed), data)]
    assert places
    for at in places:
        clip = tmp_path / f"{at}.mp4"
        clip.write_bytes(data[: at + 3] + bytes([data[at + 3] ^ 1]) + data[at + 4 :])
        assert refusal(clip).code == "clip-tags-changed"
        with av.open(str(clip)) as opened, pytest.raises(RequestError) as refused:
            stated_start_us(clip, opened.metadata, 0, 0)  # nor is it imported by what is left
        assert refused.value.code == "import-doubtful"


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
async def test_a_clip_up_to_the_end_of_a_recording_at_a_constant_rate_is_believed(
    tmp_path: Path, binary: str, container: str
) -> None:
    """The last frame of what was encoded from an input has no length: libav gives it that of the others."""
    write_video(tmp_path / "input.mp4", "h264", capture_times(1, fps=20, seed=None))
    recorded = await record_file(tmp_path / "input.mp4", tmp_path, binary, reencode=True)
    times = recorded.times_us
    path = tmp_path / "clip.mp4"
    async with VideoStore.open(tmp_path / "storage") as store:
        await store.export(times[4], times[-1] + 5 * US, path, container=container)
    assert read_clip_times(path).first_us == times[4]
    last = read_clip_frame(path, times[-1] - times[4])
    assert abs(last.captured_us - times[-1]) <= last.precision_us


@pytest.mark.parametrize("options", [["-ss", "1.5"], ["-t", "1.5"], ["-ss", "0.3", "-c:v", "mpeg4"]])
async def test_a_clip_that_was_cut_by_another_program_is_not_believed(
    clips: Path, tmp_path: Path, binary: str, options: list[str]
) -> None:
    """ffmpeg copies the tags."""
    cut = tmp_path / "cut.mp4"
    await run_ffmpeg([binary, "-v", "error", "-i", str(clips / "mp4.mp4"), "-c", "copy", *options, str(cut)])
    error = refusal(cut)
    assert (error.code, error.fields["first_us"]) == ("clip-changed", TIMES[4])


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
async def test_a_clip_of_b_frames_that_lacks_its_last_frames_is_not_believed(
    tmp_path: Path, binary: str, container: str
) -> None:
    """Of what is cut off there, a part is decoded before."""
    await record_coded(tmp_path / "door", coded_packets(TIMES, "h264", gop=12, b_frames=3))
    await take_over(tmp_path / "door")
    clip, cut = tmp_path / "clip.mp4", tmp_path / "cut.mp4"
    async with VideoStore.open(tmp_path / "door") as store:
        await store.export(TIMES[4], TIMES[-4], clip, container=container)
    assert read_clip_times(clip).first_us == TIMES[4]
    length = ["-t", str((TIMES[-8] - TIMES[4] + 1000) / US)]
    await run_ffmpeg([binary, "-v", "error", "-i", str(clip), "-c:v", "mpeg4", *length, str(cut)])
    assert refusal(cut).code == "clip-changed"


async def test_a_clip_whose_start_was_moved_is_not_believed(clips: Path, tmp_path: Path, binary: str) -> None:
    """Its length is still the same."""
    moved = tmp_path / "moved.mp4"
    command = [binary, "-v", "error", "-itsoffset", "0.5", "-i", str(clips / "mp4.mp4"), "-c", "copy", str(moved)]
    await run_ffmpeg(command)
    assert refusal(moved).code == "clip-changed"


async def test_a_clip_that_was_only_repacked_is_believed(clips: Path, tmp_path: Path, binary: str) -> None:
    for container in ("mp4", "fmp4"):
        repacked = tmp_path / f"{container}.mp4"
        command = [binary, "-v", "error", "-i", str(clips / f"{container}.mp4"), "-c", "copy", str(repacked)]
        await run_ffmpeg(command)
        assert read_clip_times(repacked) == read_clip_times(clips / f"{container}.mp4")


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
def test_a_clip_that_lost_its_end_gives_the_right_time_or_none(clips: Path, tmp_path: Path, container: str) -> None:
    data, path = (clips / f"{container}.mp4").read_bytes(), tmp_path / "clip.mp4"
    positions = range(0, TIMES[-4] - TIMES[4], 77_777)
    right = [read_clip_frame(clips / f"{container}.mp4", one) for one in positions]
    for share in (0.02, 0.1, 0.5, 0.7, 0.95):
        path.write_bytes(data[: int(len(data) * share)])
        for position_us, frame in zip(positions, right, strict=True):
            try:
                told = read_clip_frame(path, position_us)
            except RequestError as error:
                assert error.code.startswith("clip-") and error.is_complete()  # the tags may be lost, too
            else:
                assert told == frame


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
def test_damage_gives_the_right_time_or_a_sentence(clips: Path, tmp_path: Path, container: str) -> None:
    """Never another error, nor a time outside the stretch that the tag tells."""
    data, path = (clips / f"{container}.mp4").read_bytes(), tmp_path / "clip.mp4"
    times = read_clip_times(clips / f"{container}.mp4")
    dice = random.Random(5)
    answered = 0
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 4, 32))):
            damaged[dice.randrange(dice.choice((len(data), 2000)))] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            told = read_clip_frame(path, dice.randrange(times.listed_us))
            read = read_clip_times(path)
        except RequestError as error:
            assert error.is_complete()
        else:
            answered += 1
            assert any(one.from_us <= told.captured_us <= one.to_us for one in read.stretches)
    assert answered > 10
