from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import each_value
from tests.support.coding import write_video
from tests.support.recording import LOGGER, SMALL, START_US, US, capture_times, record, take_over, until
from videostore.base.errors import ConfigError, NoRoomError, RequestError, VideoStoreError
from videostore.ffmpeg.process import BINARY_VARIABLE, find_ffmpeg, run_ffmpeg
from videostore.media.footage import survey_beginning
from videostore.media.segment import probe
from videostore.storage.archive import Archive
from videostore.storage.directory_lock import DirectoryLock
from videostore.storage.import_stage import STAGE
from videostore.storage.verify import verify_directory
from videostore.store.footage_import import import_file
from videostore.store.results import ImportedFile
from videostore.store.store import VideoStore

TIMES = capture_times(6, fps=20)
GOP_MIDDLE = 18


async def shown(directory: Path, from_us: int, to_us: int, path: Path) -> Any:
    """What a player shows of an exported clip, compared with the frames of the file."""
    async with VideoStore.open(directory) as store:
        clip = await store.export(from_us, to_us, path, overwrite=True)
    assert clip.ranges is None
    return check_clip(read_clip(path), TIMES, from_us, to_us)


def segments(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.mp4"))


async def assert_intact(directory: Path) -> None:
    report = await verify_directory(directory, decode=True)
    assert list(report.findings) == []
    assert not (directory / STAGE).exists()
    assert not list(directory.glob("*.open"))


async def write_and_import(
    directory: Path, times: Sequence[int], codec: str = "h264", suffix: str = ".mp4", **settings: Any
) -> tuple[Path, ImportedFile]:
    path = directory.parent / f"video-{times[0]}{suffix}"
    write_video(path, codec, times, **settings)
    return path, await import_file(path, directory, start=times[0])


@each_value(codec=["h264", "hevc"], suffix=[".mp4", ".mkv", ".ts"])
async def test_clips_of_an_imported_file_are_exact(tmp_path: Path, codec: str, suffix: str) -> None:
    directory = tmp_path / "sd"
    _, done = await write_and_import(directory, TIMES, codec, suffix)
    assert (done.frames, done.known, done.reencoded, done.shortfall) == (len(TIMES), False, "", "")
    assert done.captured.from_us == START_US
    assert TIMES[-1] < done.captured.to_us < TIMES[-1] + US
    # Matroska counts milliseconds: a frame in the middle of a range is in it in either count.
    for first, last in ((0, len(TIMES)), (7, 31), (GOP_MIDDLE, GOP_MIDDLE + 40)):
        from_us = TIMES[first] - (2000 if first else 0)
        to_us = TIMES[last] - 2000 if last < len(TIMES) else done.captured.to_us
        found = await shown(directory, from_us, to_us, tmp_path / "clip.mp4")
        assert found.shown == last - first and found.drift_ms < 1.1
        assert not (found.missing_inside or found.missing_before or found.missing_after or found.outside)
    await assert_intact(directory)


async def test_frames_that_are_not_in_display_order_are_stored_with_their_times(tmp_path: Path) -> None:
    directory = tmp_path / "sd"
    _, done = await write_and_import(directory, TIMES, b_frames=2)
    assert done.reencoded == "" and done.frames == len(TIMES)
    found = await shown(directory, TIMES[9], TIMES[50], tmp_path / "clip.mp4")
    assert found.shown == 41 and found.first_us == TIMES[9] and found.drift_ms < 0.1
    await assert_intact(directory)


async def test_the_same_file_is_stored_once_under_whichever_name(tmp_path: Path) -> None:
    directory = tmp_path / "sd"
    path, first = await write_and_import(directory, TIMES)
    before = segments(directory)
    copy = shutil.copyfile(path, tmp_path / "copy.mp4")
    again = await import_file(copy, directory, start=START_US)
    assert again.known and not first.known
    assert again.captured == first.captured
    assert segments(directory) == before
    # The index is a cache: without it the files tell the same.
    (directory / "index.sqlite.db").unlink()
    assert (await import_file(copy, directory, start=START_US)).known
    assert segments(directory) == before


async def test_what_overlaps_stays_apart(tmp_path: Path) -> None:
    directory = tmp_path / "sd"
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    write_video(one, "h264", TIMES)
    write_video(other, "h264", [time_us + 3600 * US for time_us in TIMES])
    for path in (one, other):
        assert not (await import_file(path, directory, start=START_US)).known
    runs = {probe(directory / name).run_us for name in segments(directory)}
    assert runs == {START_US, START_US - 1}
    async with VideoStore.open(directory) as store:
        clip = await store.export(START_US, START_US + 7 * US, tmp_path / "clip.mp4")
    painted = [frame.captured_us for _, frame in read_clip(clip.path) if frame]
    assert sorted(painted) == sorted([*TIMES, *(time_us + 3600 * US for time_us in TIMES)])
    for path in (one, other):
        assert (await import_file(path, directory, start=START_US)).known


async def test_a_segment_and_a_clip_are_stored_under_their_own_time(tmp_path: Path) -> None:
    recorded, directory = tmp_path / "recorded", tmp_path / "sd"
    await record(recorded, TIMES, size=SMALL, segment_seconds=30)
    (segment,) = await take_over(recorded)
    await import_file(recorded / segment.file_name, directory)
    assert (await shown(directory, TIMES[3], TIMES[30], tmp_path / "one.mp4")).flawless
    async with VideoStore.open(recorded) as store:
        await store.export(TIMES[5], TIMES[60], tmp_path / "clip.mp4")
    done = await import_file(tmp_path / "clip.mp4", tmp_path / "other")
    assert done.captured.from_us == TIMES[5] and done.frames == 55


async def test_a_file_that_is_still_being_written_is_refused(tmp_path: Path) -> None:
    path, directory = tmp_path / "video.ts", tmp_path / "sd"
    write_video(path, "h264", TIMES)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    shares: list[float] = []

    def grow(share: float) -> None:
        if not shares:
            path.write_bytes(whole)
        shares.append(share)

    with pytest.raises(RequestError, match="it was changed while it was read"):
        await import_file(path, directory, start=START_US, on_progress=grow)
    assert shares and not directory.exists()
    assert (await import_file(path, directory, start=START_US)).frames == len(TIMES)


async def test_a_file_that_does_not_tell_its_time_needs_a_start(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, "h264", TIMES)
    with pytest.raises(RequestError) as refused:
        await import_file(path, tmp_path / "sd")
    assert refused.value.code == "import-undated"
    with pytest.raises(RequestError) as refused:
        await import_file(path, tmp_path / "sd", start="2999-01-01T00:00:00Z")
    assert (refused.value.code, refused.value.field) == ("import-start-in-future", "start")
    assert "with --start" not in str(refused.value)  # it was
    with pytest.raises(RequestError) as refused:
        await import_file(path, tmp_path / "sd", start="1969-12-31T23:59:59Z")
    assert refused.value.code == "import-start-before-1970"
    assert not (tmp_path / "sd").exists()


async def test_a_directory_that_is_being_recorded_to_is_refused(tmp_path: Path) -> None:
    path, directory = tmp_path / "video.mp4", tmp_path / "sd"
    write_video(path, "h264", TIMES)
    lock = DirectoryLock(directory)
    try:
        with pytest.raises(VideoStoreError) as refused:
            await import_file(path, directory, start=START_US)
    finally:
        lock.release()
    assert refused.value.code == "import-while-recording"


async def test_the_directory_of_a_recorder_is_refused_unless_its_quota_holds_all(tmp_path: Path) -> None:
    path, directory = tmp_path / "video.mp4", tmp_path / "door"
    write_video(path, "h264", TIMES)
    await record(directory, capture_times(2, START_US + 60 * US), size=SMALL)
    await take_over(directory)
    before = segments(directory)
    with pytest.raises(RequestError) as refused:
        await import_file(path, directory, start=START_US)
    assert refused.value.code == "import-into-recording"
    with pytest.raises(NoRoomError) as full:
        await import_file(path, directory, start=START_US, size_gb=1e-6)
    assert full.value.code == "import-beyond-quota"
    with pytest.raises(ConfigError):
        await import_file(path, directory, start=START_US, size_gb=0)
    assert segments(directory) == before
    assert not (await import_file(path, directory, start=START_US, size_gb=1)).known
    assert (await import_file(path, directory, start=START_US, size_gb=1e-6)).known  # nothing is to be added
    assert len(segments(directory)) > len(before)
    await assert_intact(directory)


async def test_a_file_that_is_cut_off_is_stored_as_far_as_it_goes(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    write_video(whole, "h264", TIMES)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    done = await import_file(cut, tmp_path / "sd", start=START_US)
    assert done.shortfall and 0 < done.frames < len(TIMES)
    await assert_intact(tmp_path / "sd")


async def test_an_import_that_is_cancelled_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, directory, written = tmp_path / "video.mp4", tmp_path / "sd", tmp_path / "written"
    write_video(path, "h264", TIMES)
    # An ffmpeg that has written everything, but does not end.
    script, real = tmp_path / "ffmpeg", find_ffmpeg()
    lines = ["#!/bin/sh", f'case "$*" in *itsoffset*) "{real}" "$@"; touch "{written}"; exec sleep 600;; esac']
    script.write_text("\n".join([*lines, f'exec "{real}" "$@"', ""]))
    script.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv(BINARY_VARIABLE, str(script))
        importing = asyncio.create_task(import_file(path, directory, start=START_US))
        await until(written.exists)
        importing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await importing
    assert not directory.exists()
    assert not (await import_file(path, directory, start=START_US)).known


async def test_an_import_that_is_cancelled_while_the_file_is_read_ends_at_once(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, "h264", TIMES)

    def cancel(share: float) -> None:
        importing.cancel()

    importing = asyncio.create_task(import_file(path, tmp_path / "sd", start=START_US, on_progress=cancel))
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert not (tmp_path / "sd").exists()


async def test_what_a_kill_left_is_completed(tmp_path: Path) -> None:
    directory = tmp_path / "sd"
    long = [START_US + number * US for number in range(90)]
    path, _ = await write_and_import(directory, long, gop=5)
    names = segments(directory)
    assert len(names) == 3
    (directory / names[1]).unlink()
    (directory / STAGE).mkdir()
    (directory / STAGE / "left.open").write_bytes(b"left behind by a kill")
    done = await import_file(path, directory, start=START_US)
    assert not done.known
    assert segments(directory) == names
    assert {probe(directory / name).run_us for name in names} == {START_US}
    await assert_intact(directory)


async def test_two_imports_of_a_file_at_once_give_one_recording(tmp_path: Path) -> None:
    path, directory = tmp_path / "video.mp4", tmp_path / "sd"
    write_video(path, "h264", TIMES)
    both = await asyncio.gather(
        *(import_file(path, directory, start=START_US) for _ in range(2)), return_exceptions=True
    )
    done = [one for one in both if isinstance(one, ImportedFile)]
    refused = [one.code for one in both if isinstance(one, VideoStoreError)]
    assert done and refused == ["import-while-recording"] * (2 - len(done))
    names = segments(directory)
    again = await import_file(path, directory, start=START_US)
    assert again.known and again.captured == done[0].captured
    assert segments(directory) == names
    await assert_intact(directory)


async def test_nothing_is_written_of_a_file_that_is_stored_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, ran = tmp_path / "sd", tmp_path / "ran"
    path, _ = await write_and_import(directory, TIMES)
    script = tmp_path / "ffmpeg"
    script.write_text(f"#!/bin/sh\ntouch '{ran}'\nexec '{find_ffmpeg()}' \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setenv(BINARY_VARIABLE, str(script))
    assert (await import_file(path, directory, start=START_US)).known and not ran.exists()
    await import_file(path, tmp_path / "other", start=START_US)
    assert ran.exists()


async def test_what_turns_out_only_at_the_end_of_a_file_is_stored_as_it_is(tmp_path: Path) -> None:
    """The beginning, by which the writing starts, tells of no gap and no other format."""
    directory = tmp_path / "sd"
    times = [START_US + number * 50_000 for number in (*range(700), *range(2000, 2100))]
    path, done = await write_and_import(directory, times)
    assert not survey_beginning(path).gaps_us and len(done.gaps) == 1
    async with VideoStore.open(directory) as store:
        ranges = (await store.state()).ranges
    assert [one.from_us - START_US for one in ranges] == [0, 100 * US]
    await assert_intact(directory)


@pytest.mark.parametrize(("suffix", "b_frames"), [(".mkv", 0), (".mp4", 0), (".mkv", 2)])
async def test_a_gap_in_the_file_is_a_gap_in_the_recording(tmp_path: Path, suffix: str, b_frames: int) -> None:
    directory = tmp_path / "sd"
    times = [START_US + number * 100_000 for number in (*range(24), *range(200, 224), *range(700, 760))]
    path, done = await write_and_import(directory, times, suffix=suffix, b_frames=b_frames)
    milliseconds = [((gap.from_us - START_US) // 1000, (gap.to_us - START_US) // 1000) for gap in done.gaps]
    assert milliseconds == [(2300, 20000), (22300, 70000)]
    assert done.longest_interval_us == 100_000 and done.frames == len(times)
    async with VideoStore.open(directory) as store:
        ranges = (await store.state()).ranges
        clip = await store.export(START_US, times[-1] + US, tmp_path / "clip.mp4")
    assert [one.from_us - START_US for one in ranges] == [0, 20_000_000, 70_000_000]
    # How long the last frame before a gap lasts is a guess: at most the usual interval.
    ends_us = [one.to_us - START_US for one in ranges]
    assert all(last < end_us <= last + 100_000 for last, end_us in zip((2.3e6, 22.3e6, 75.9e6), ends_us, strict=True))
    assert clip.ranges is not None and len(clip.ranges) == 3
    assert [frame.captured_us for _, frame in read_clip(clip.path) if frame] == times
    assert (await import_file(path, directory, start=START_US)).known
    await assert_intact(directory)


async def test_the_same_file_with_another_start_is_refused_and_both_are_named(tmp_path: Path) -> None:
    directory = tmp_path / "sd"
    other = tmp_path / "other.mp4"
    write_video(other, "h264", [time_us + 3600 * US for time_us in TIMES])
    await import_file(other, directory, start=START_US - 7200 * US)
    path, _ = await write_and_import(directory, TIMES)
    before = segments(directory)
    for later_s in (-3600, -1, 2, 86400):
        with pytest.raises(RequestError) as refused:
            await import_file(path, directory, start=START_US + later_s * US)
        assert refused.value.code == "import-elsewhere"
        assert refused.value.fields["stored_us"] == START_US
        assert refused.value.fields["start_us"] == START_US + later_s * US
    assert segments(directory) == before
    assert (await import_file(path, directory, start=START_US)).known
    assert not (await import_file(path, tmp_path / "elsewhere", start=START_US + US)).known


async def test_a_refusal_leaves_no_directory(tmp_path: Path) -> None:
    path, directory = tmp_path / "video.mp4", tmp_path / "new" / "sd"
    write_video(path, "h264", TIMES)
    with pytest.raises(NoRoomError):
        await import_file(path, directory, start=START_US, size_gb=1e-9)
    assert not directory.parent.exists()
    directory.mkdir(parents=True)
    with pytest.raises(NoRoomError):
        await import_file(path, directory, start=START_US, size_gb=1e-9)
    assert directory.is_dir()


async def test_what_a_killed_import_left_is_removed_when_the_store_is_opened(tmp_path: Path) -> None:
    left = tmp_path / "door" / STAGE / "segment.mp4"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * 1000)
    async with VideoStore.open(tmp_path / "door"):
        assert left.exists()  # a reader changes nothing
    archive = await Archive.open(tmp_path / "door", LOGGER)
    assert not left.parent.exists()
    await archive.close()


@pytest.mark.parametrize("sizes", [("320x240", "240x240"), ("160x120", "320x240")])
async def test_pictures_whose_size_changes_are_fitted_into_the_largest_without_distortion(
    tmp_path: Path, binary: str, sizes: tuple[str, str]
) -> None:
    for number, size in enumerate(sizes):
        made = ["-f", "lavfi", "-i", f"color=white:size={size}:rate=20", "-t", "2", "-c:v", "libx264", "-bf", "0"]
        made += ["-pix_fmt", "yuv420p", "-g", "10", "-output_ts_offset", str(2 * number)]
        await run_ffmpeg([binary, "-v", "error", *made, "-f", "mpegts", str(tmp_path / f"{number}.ts")])
    joined = f"concat:{tmp_path / '0.ts'}|{tmp_path / '1.ts'}"
    await run_ffmpeg([binary, "-v", "error", "-i", joined, "-c", "copy", str(tmp_path / "video.ts")])
    done = await import_file(tmp_path / "video.ts", tmp_path / "sd", start=START_US)
    assert done.reencoded == "its format changes in the middle" and (done.frames, done.shortfall) == (80, "")
    (segment,) = (tmp_path / "sd").glob("*.mp4")
    with av.open(str(segment)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(pictures) == 80 and {picture.shape for picture in pictures} == {(240, 320)}
    white = [int((picture > 128).any(axis=0).sum()) for picture in (pictures[20], pictures[60])]
    assert white == [320, 240 if sizes[1] == "240x240" else 320]


async def test_a_clip_that_leaves_out_a_gap_is_refused_whatever_start_is_given(tmp_path: Path) -> None:
    """Otherwise what follows the gap would be stored under a wrong time."""
    storage, first, second = tmp_path / "storage", capture_times(2), capture_times(2, START_US + 60 * US)
    for times in (first, second):
        await record(storage, times, size=SMALL)
    await take_over(storage)
    async with VideoStore.open(storage) as store:
        await store.export(first[0], second[-1], tmp_path / "both.mp4")
        await store.export(second[0], second[-1], tmp_path / "one.mp4")
    for start in (None, START_US + 3600 * US):
        with pytest.raises(RequestError) as refused:
            await import_file(tmp_path / "both.mp4", tmp_path / "imported", start=start)
        assert refused.value.code == "import-clip-gaps" and not (tmp_path / "imported").exists()
    done = await import_file(tmp_path / "one.mp4", tmp_path / "imported", start=START_US + 3600 * US)
    assert done.captured.from_us == START_US + 3600 * US
