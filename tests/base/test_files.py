from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from videostore.base.files import as_path, mount_point, sync_directory, sync_file


@pytest.mark.parametrize("given", ["/a/b", b"/a/b", Path("/a/b"), PurePosixPath("/a/b")])
def test_a_path_may_be_whatever_os_fspath_takes(given: str | bytes | Path) -> None:
    assert as_path(given) == Path("/a/b")


def test_a_path_of_bytes_that_are_not_utf8_names_the_same_file(tmp_path: Path) -> None:
    given = os.fsencode(tmp_path) + b"/\xff"
    Path(os.fsdecode(given)).touch()
    assert as_path(given).exists()


def test_what_is_not_a_path_is_refused() -> None:
    with pytest.raises(TypeError):
        as_path(7)  # type: ignore[arg-type]


def test_a_file_is_forced_to_stable_storage_and_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    path.chmod(0o400)
    before = path.stat()
    forced = []
    fdatasync = os.fdatasync

    def force(descriptor: int) -> None:
        fdatasync(descriptor)
        forced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fdatasync", force)
    sync_file(os.fspath(path))
    assert forced == [before.st_ino]
    assert path.read_bytes() == b"bytes" and path.stat().st_mtime_ns == before.st_mtime_ns


def test_a_file_that_does_not_exist_cannot_be_forced_to_stable_storage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_file(tmp_path / "file")


def test_a_directory_is_forced_to_stable_storage_and_a_failure_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = []
    fsync = os.fsync

    def force(descriptor: int) -> None:
        fsync(descriptor)
        forced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", force)
    sync_directory(tmp_path)
    sync_directory(tmp_path / "missing")
    assert forced == [tmp_path.stat().st_ino]


def test_the_mount_point_of_a_directory_holds_it_and_is_on_its_device(tmp_path: Path) -> None:
    directory = tmp_path / "link"
    (tmp_path / "directory").mkdir()
    directory.symlink_to("directory")
    found = mount_point(directory)
    assert os.path.ismount(found) and tmp_path.resolve().is_relative_to(found)
    assert found.stat().st_dev == directory.stat().st_dev
    assert mount_point("/") == Path("/")
