from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from videostore.base.files import (
    as_path,
    missing_directories,
    mount_point,
    open_regular,
    remove_empty_directories,
    rename_to_free,
    sync_directory,
    sync_file,
    why_not_created,
)


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


def test_only_directories_that_were_missing_and_are_empty_are_removed_again(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c"
    missing = missing_directories(inner)
    assert missing == [inner, inner.parent, inner.parent.parent]
    inner.mkdir(parents=True)
    assert missing_directories(inner) == []
    (tmp_path / "a" / "file").touch()
    remove_empty_directories(missing)
    assert os.listdir(tmp_path / "a") == ["file"]


def test_the_reason_why_a_directory_cannot_be_created_names_what_is_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def why(path: Path) -> str:
        with pytest.raises(OSError) as failed:
            path.mkdir(parents=True)
        return why_not_created(path, failed.value)

    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert why(tmp_path / "file") == why(tmp_path / "file" / "under") == f"{tmp_path / 'file'} is not a directory"
    assert why(tmp_path / "link") == f"{tmp_path / 'link'} is a link that leads nowhere"
    assert why(Path("/proc/door/inside")) == "no directory can be created in /proc"
    assert why(tmp_path / ("x" * 300)) == "File name too long"
    user = pwd.getpwuid(os.geteuid()).pw_name
    refused = PermissionError(errno.EACCES, "Permission denied")
    assert why_not_created(tmp_path / "a" / "b", refused) == (
        f"the user {user} has no right to do that in {tmp_path}, which belongs to {user}"
    )
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)  # as in a container
    assert why_not_created(tmp_path / "a" / "b", refused).startswith("the user 4000000 has no right to do that in ")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_only_a_regular_file_is_opened_and_nothing_else_is_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "other")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "other")
    (tmp_path / "file").write_bytes(b"abc")
    with open_regular(tmp_path / "file", buffering=1024) as file:
        assert file.read() == b"abc"


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


@pytest.mark.parametrize("error", [None, errno.EPERM, errno.EIO, errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("exclusive", [True, False])
def test_a_file_takes_a_free_name_and_no_other_on_whatever_file_system(
    tmp_path: Path, error: int | None, exclusive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers answer a hard link with an error of their own; some file systems cannot rename exclusively."""

    def refuse(*_: object) -> None:
        assert error is not None
        raise OSError(error, os.strerror(error))

    if error is not None:
        monkeypatch.setattr(os, "link", refuse)
    if not exclusive:
        monkeypatch.setattr("videostore.base.files.rename_exclusively", lambda *_: False)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    for kind in ("file", "link", "directory"):
        if kind == "file":
            target.touch()
        elif kind == "link":
            target.symlink_to("nowhere")
        else:
            target.mkdir()
        with pytest.raises(FileExistsError):
            rename_to_free(source, target)
        assert source.read_text() == "new"
        target.rmdir() if target.is_dir() else target.unlink()
    rename_to_free(source, target)
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]
    with pytest.raises(FileNotFoundError):
        rename_to_free(source, tmp_path / "other")
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_that_was_made_although_the_server_reported_an_error_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def fail(source: Path, target: Path) -> None:
        link(source, target)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fail)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    rename_to_free(source, target)
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]
