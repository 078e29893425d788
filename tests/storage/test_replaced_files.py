from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, capture_times, record, take_over
from tests.support.storage import FIRST, indexed, reconcile
from videostore.base.files import kind_of_file
from videostore.base.ranges import Range
from videostore.media.segment import Segment
from videostore.storage.archive import Archive
from videostore.storage.replaced_files import MOST_REPLACED, ReplacedFile, ReplacedFiles, is_gone, kind_in_place


def bind(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


KINDS: list[tuple[str, Callable[[Path], object]]] = [
    ("a pipe", os.mkfifo),
    ("a directory", Path.mkdir),
    ("a symbolic link", lambda path: path.symlink_to("/dev/zero")),
    ("a socket", bind),
]


@pytest.mark.parametrize(("kind", "put"), KINDS)
async def test_a_segment_in_whose_place_something_else_is_leaves_the_index_and_is_told(
    tmp_path: Path, kind: str, put: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    await record(tmp_path, capture_times(7))
    segments = await take_over(tmp_path)
    lost = segments[1]
    (tmp_path / lost.file_name).unlink()
    put(tmp_path / lost.file_name)
    told = ReplacedFile(lost.file_name, kind, Range(lost.start_us, lost.end_us))
    for opening in (Archive.open_read_only, Archive.open):  # the first leaves the index as it is
        archive = await opening(tmp_path, LOGGER)
        try:
            for _ in range(2):
                await reconcile(archive)
                assert await indexed(archive) == [one.file_name for one in segments if one is not lost]
                assert archive.replaced.look() == (told,)
        finally:
            await archive.close()
    assert caplog.text.count(f"{lost.file_name} is {kind}, not a file. The video that it held is gone.") == 2
    archive = await Archive.open(tmp_path, LOGGER)  # its row is gone, its name still tells
    try:
        await reconcile(archive)
        assert archive.replaced.look() == (ReplacedFile(lost.file_name, kind),)
    finally:
        await archive.close()
    assert kind_in_place(tmp_path / lost.file_name) == kind


@pytest.mark.parametrize("noticed", [True, False])
async def test_what_takes_the_name_of_a_deleted_segment_tells_its_gap(tmp_path: Path, noticed: bool) -> None:
    """Also if only a walk finds it."""
    await record(tmp_path, capture_times(7))
    lost = (await take_over(tmp_path))[1]
    archive = await Archive.open(tmp_path, LOGGER)
    try:
        await reconcile(archive)
        (tmp_path / lost.file_name).unlink()
        await archive.forget([lost.file_name])
        assert archive.replaced.look() == ()
        os.mkfifo(tmp_path / lost.file_name)
        if noticed:
            archive.replaced.look_at([lost.file_name])
        else:
            await reconcile(archive)
        (told,) = archive.replaced.look()
        assert told == ReplacedFile(lost.file_name, "a pipe", Range(lost.start_us, lost.end_us))
        assert told.gap is not None and "is a pipe, not a file" in told.gap.reason
    finally:
        await archive.close()


async def test_a_segment_that_comes_back_is_stored_again(tmp_path: Path) -> None:
    await record(tmp_path, capture_times(7))
    lost = (await take_over(tmp_path))[1]
    path = tmp_path / lost.file_name
    path.rename(tmp_path / "elsewhere")
    path.mkdir()
    archive = await Archive.open(tmp_path, LOGGER)
    try:
        await reconcile(archive)
        path.rmdir()
        (tmp_path / "elsewhere").rename(path)
        assert archive.replaced.look() == ()
        await reconcile(archive)
        assert lost.file_name in await indexed(archive) and archive.replaced.look() == ()
    finally:
        await archive.close()


def test_a_disk_that_does_not_tell_is_no_reason_to_forget_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FIRST
    assert is_gone(path) and is_gone(path / "below")
    path.touch()
    assert not is_gone(path)

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "lstat", fail)
    assert not is_gone(path) and kind_in_place(path) is None


def test_only_so_many_are_remembered_the_newest(tmp_path: Path) -> None:
    replaced = ReplacedFiles(tmp_path, logging.getLogger("test"))
    names = [f"{1_725_000_000 + number}.mp4" for number in range(MOST_REPLACED + 3)]
    for name in names:
        (tmp_path / name).mkdir()
    replaced.set_listed(reversed(names))
    assert [one.file_name for one in replaced.look()] == names[3:]


def test_only_so_many_deleted_ones_are_remembered_and_those_whose_names_were_taken(tmp_path: Path) -> None:
    replaced = ReplacedFiles(tmp_path, logging.getLogger("test"))
    segments = [Segment(f"{1_725_000_000 + number}.mp4", 0, 1, 1, 2, 2, "h264") for number in range(MOST_REPLACED + 3)]
    (tmp_path / segments[0].file_name).mkdir()
    replaced.note(segments[:1])
    replaced.note(segments[1:])
    assert [one.stored for one in replaced.look()] == [Range(0, 1)]
    assert list(replaced._held) == [one.file_name for one in (segments[0], *segments[3:])]


def test_a_device_is_told_as_one() -> None:
    assert kind_of_file(os.stat("/dev/null").st_mode) == "a device"
