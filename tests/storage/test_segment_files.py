from __future__ import annotations

import errno
import itertools
import os
import resource
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from tests.support.recording import START_US, US, capture_times, record
from tests.support.storage import FIRST, START_S, contents, indexed, make_old, reconcile
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.segment_names import open_name
from videostore.storage.archive import Archive
from videostore.storage.index import FILE_NAME
from videostore.storage.segment_files import close_segment, is_cut_off_after, is_young, list_directory

# Closing


@dataclass(frozen=True)
class Behind:
    """A run that says when the next frame and the next sound were captured."""

    frame_us: int | None
    sound_us: int | None = None

    def next_frame_us(self, _: int) -> int | None:
        return self.frame_us

    def next_sound_us(self, _: int) -> int | None:
        return self.sound_us


async def test_a_segment_that_was_cut_off_is_truncated_after_its_last_complete_fragment(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    whole = read_fragments(path)
    os.truncate(path, whole.fragments[4].end_byte + 100)
    await reconcile(archive)
    (segment,) = await archive.index.oldest(10)
    content = read_fragments(archive.directory / segment.file_name)
    assert content.fragments == whole.fragments[:5]
    assert segment.size_bytes == whole.fragments[4].end_byte == (archive.directory / FIRST).stat().st_size
    assert segment.end_us == whole.fragments[4].end_us


async def test_a_segment_with_bad_bytes_in_the_middle_is_closed_and_read_on_behind_them(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    whole = read_fragments(path)
    with path.open("r+b") as file:
        file.seek(whole.fragments[2].end_byte)
        file.write(b"\xff" * 64)
    before = path.read_bytes()
    await reconcile(archive)
    assert contents(archive.directory) == {FIRST: before}
    (closed,) = await archive.index.oldest(10)
    await archive.take_closed(FIRST)
    (read_again,) = await archive.index.oldest(10)
    assert (closed.size_bytes, closed.end_us) == (len(before), read_again.end_us)
    assert read_fragments(archive.directory / FIRST).fragments == whole.fragments[:3] + whole.fragments[4:]


async def test_if_a_name_exists_the_next_free_one_is_used_and_no_file_is_overwritten(
    archive: Archive, times: list[int]
) -> None:
    await record(archive.directory, times, segment_seconds=10)
    others = {FIRST: b"first", f"{START_S + 1}.mp4": b"second"}
    for name, content in others.items():
        (archive.directory / name).write_bytes(content)
    await reconcile(archive)
    files = contents(archive.directory)
    assert {name: files[name] for name in others} == others
    assert read_fragments(archive.directory / f"{START_S + 2}.mp4").times_us == times
    assert await indexed(archive) == [f"{START_S + 2}.mp4"]


async def test_two_segments_of_the_same_second_get_different_names(archive: Archive) -> None:
    """This happens when the clock is set back. The times of the frames decide."""
    for start_us in (START_US, START_US + 100_000):
        await record(archive.directory, capture_times(1.5, start_us))
        await reconcile(archive)
    segments = await archive.index.oldest(10)
    assert [s.file_name for s in segments] == [FIRST, f"{START_S + 1}.mp4"]
    assert [s.start_us for s in segments] == [START_US, START_US + 100_000]


async def test_a_rename_that_a_crash_interrupted_is_finished(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    os.link(path, archive.directory / FIRST)
    await reconcile(archive)
    assert list(contents(archive.directory)) == [FIRST]
    assert await indexed(archive) == [FIRST]
    assert (archive.timeline.segments, archive.timeline.stored_bytes) == (1, (archive.directory / FIRST).stat().st_size)


async def test_an_interrupted_rename_to_the_second_name_is_finished(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    (archive.directory / FIRST).write_bytes(b"first")
    os.link(path, archive.directory / f"{START_S + 1}.mp4")
    await reconcile(archive)
    assert sorted(contents(archive.directory)) == [FIRST, f"{START_S + 1}.mp4"]
    assert (archive.directory / FIRST).read_bytes() == b"first"


async def test_after_an_interrupted_rename_to_a_name_that_was_not_the_first_there_is_one_name(
    archive: Archive, times: list[int]
) -> None:
    """The first name was taken when the process was killed, and is free now."""
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    os.link(path, archive.directory / f"{START_S + 3}.mp4")
    await reconcile(archive)
    assert list(contents(archive.directory)) == [f"{START_S + 3}.mp4"]
    assert await indexed(archive) == [f"{START_S + 3}.mp4"]


@pytest.mark.parametrize("links", [True, False])
async def test_a_symbolic_link_to_an_open_segment_is_not_a_second_name_of_it(
    archive: Archive, times: list[int], links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing would remove the only copy, or write over the link of somebody."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    (archive.directory / FIRST).symlink_to(path.name)
    await reconcile(archive)
    assert (archive.directory / FIRST).is_symlink()
    assert read_fragments(archive.directory / f"{START_S + 1}.mp4").times_us == times
    assert await indexed(archive) == [f"{START_S + 1}.mp4"]


# What follows the last complete fragment


async def test_only_the_beginning_of_another_fragment_counts_as_cut_off(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(5), segment_seconds=30)
    (path,) = tmp_path.glob("*.open")
    whole, ends = path.read_bytes(), [one.end_byte for one in read_fragments(path).fragments]

    def cut_off(content: bytes) -> bool:
        path.write_bytes(content)
        return is_cut_off_after(path, ends[1])

    head = [*range(ends[1], ends[1] + 300), *range(ends[1] + 300, ends[2], 997), ends[2] - 1]
    assert [stop for stop in head if not cut_off(whole[:stop])] == []
    for stop in (ends[1], ends[1] + 8, ends[1] + 32, ends[1] + 40):  # space that was reserved and never written
        assert cut_off(whole[:stop] + bytes(100_000)) and not cut_off(whole[:stop] + bytes(5000) + whole[ends[1] :])
    assert not cut_off(whole[: ends[2]]) and not cut_off(whole)
    # Length and name of the first box, then of the second.
    for at in (ends[1], ends[1] + 4, ends[1] + 32, ends[1] + 36):
        for bad in (b"\xff" * 4, b"\x7f\0\0\0", b"\0" * 4):
            assert not cut_off(whole[:at] + bad + whole[at + 4 :])


# Listing


def test_open_and_closed_segments_are_listed_and_other_files_are_not(tmp_path: Path) -> None:
    opened, closed = open_name(START_US, 3), [FIRST, "2024-09-06_15-00-33Z.mp4"]
    for name in (opened, *closed, "notes.txt", "clip.mp4", "1725634833.mp4.prog", "1725634833.avi", "5-1.open"):
        (tmp_path / name).touch()
    (tmp_path / "1725634834.mp4").mkdir()
    (tmp_path / "1725634835.mp4").symlink_to(tmp_path / FIRST)
    os.mkfifo(tmp_path / open_name(START_US, 4))
    found = list_directory(tmp_path)
    assert found.opened == [opened] and sorted(found.closed) == closed
    assert sorted(found.replaced) == [open_name(START_US, 4), "1725634834.mp4", "1725634835.mp4"]


def test_a_file_is_young_for_half_an_hour_and_old_if_its_time_is_in_the_future(tmp_path: Path) -> None:
    path = tmp_path / FIRST
    path.touch()
    for minutes, young in ((0, True), (29, True), (31, False), (-0.05, True), (-1, False), (-1e6, False)):
        make_old(path, minutes)
        assert is_young(path.lstat()) is young


# The length until the next segment


@pytest.mark.parametrize(("fps", "seed"), [(3, None), (10, 0), (30, None)])
async def test_a_run_that_is_put_together_without_our_index_keeps_the_time_of_every_frame(
    archive: Archive, tmp_path: Path, fps: float, seed: int | None
) -> None:
    """As the Go module does it: ffmpeg's concat demuxer adds up how long the files are."""
    times = capture_times(8, fps=fps, seed=seed)
    await record(archive.directory, times)
    await reconcile(archive)
    names = await indexed(archive)
    assert len(names) >= 4
    (listed := tmp_path / "list.txt").write_text("".join(f"file '{archive.directory / name}'\n" for name in names))
    joined = tmp_path / "joined.mkv"
    source = ["-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy"]
    await run_ffmpeg([find_ffmpeg(), "-v", "error", *source, str(joined)])
    with av.open(str(joined)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        shown_us = [round(float(packet.pts * packet.time_base) * US) for packet in packets]
    assert len(shown_us) == len(times)
    assert all(abs(shown - (time - times[0])) <= 1500 for shown, time in zip(shown_us, times, strict=True))


async def test_the_lengths_in_the_index_add_up_to_the_run(archive: Archive) -> None:
    times = capture_times(8, fps=3, seed=None)
    await record(archive.directory, times)
    await reconcile(archive)
    segments = await archive.index.oldest(10)
    with sqlite3.connect(archive.directory / FILE_NAME) as database:
        lengths = [ms for (ms,) in database.execute("SELECT duration_ms FROM files ORDER BY start_us")]
    database.close()
    starts_us = [one.start_us for one in segments] + [segments[-1].end_us]
    assert lengths == [(after - before) // 1000 for before, after in itertools.pairwise(starts_us)]
    assert all(one.end_us < after for one, after in zip(segments, starts_us[1:-1], strict=False))  # as the files say


@pytest.mark.parametrize("exists", [True, False])
async def test_while_the_next_segment_tells_no_time_its_run_does(archive: Archive, exists: bool) -> None:
    times = capture_times(3, fps=3, seed=None)
    await record(archive.directory, times, segment_seconds=2)
    first, second = sorted(archive.directory.glob("*.open"))
    last_us, next_us = read_fragments(first).times_us[-1], read_fragments(second).start_us
    second.write_bytes(b"") if exists else second.unlink()  # ffmpeg closes a file before it creates the next
    asked = []

    class Asked(Behind):
        def next_frame_us(self, time_us: int) -> int | None:
            asked.append(time_us)
            return super().next_frame_us(time_us)

    await archive.take_open(first, run=Asked(next_us))
    assert asked == [last_us]
    assert read_fragments(archive.directory / FIRST).header_length_us == next_us - START_US


async def test_a_segment_that_cannot_be_written_to_is_closed_without_its_length(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(3, fps=3, seed=None), segment_seconds=2)
    first, _ = sorted(tmp_path.glob("*.open"))
    before = first.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))  # the kernel refuses to write behind this
    try:
        closed = close_segment(first, finished_only=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert closed is not None and closed.file_name == FIRST
    assert (tmp_path / FIRST).read_bytes() == before and not first.exists()


@pytest.mark.parametrize("next_us", [None, START_US, START_US + 3600 * US])
async def test_a_time_that_cannot_be_the_next_is_not_believed(archive: Archive, next_us: int | None) -> None:
    await record(archive.directory, capture_times(3, fps=3, seed=None), segment_seconds=2)
    first, second = sorted(archive.directory.glob("*.open"))
    second.write_bytes(b"")
    before = first.read_bytes()
    await archive.take_open(first, run=Behind(next_us))
    assert (archive.directory / FIRST).read_bytes() == before


async def test_the_last_segment_of_a_run_states_no_length(archive: Archive, times: list[int]) -> None:
    await record(archive.directory, times, segment_seconds=10)
    (path,) = archive.directory.glob("*.open")
    before = path.read_bytes()
    await archive.take_open(path, run=Behind(None))
    assert (archive.directory / FIRST).read_bytes() == before
