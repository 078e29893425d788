from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from videostore.base.errors import VideoStoreError
from videostore.storage.directory_lock import DirectoryLock, is_locked

_LOCKER = """
import subprocess, sys
from pathlib import Path
from videostore.storage.directory_lock import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "30"])  # stands for its ffmpeg
print(child.pid, flush=True)
sys.stdin.read()
"""
TakeLock = Callable[[Path], DirectoryLock]


@pytest.fixture
def take() -> Iterator[TakeLock]:
    """Locks directories until the end of the test."""
    with ExitStack() as stack:

        def take_lock(directory: Path) -> DirectoryLock:
            lock = DirectoryLock(directory)
            stack.callback(lock.release)
            return lock

        yield take_lock


def test_a_directory_is_created_and_a_second_recorder_is_refused_until_it_is_released(
    tmp_path: Path, take: TakeLock
) -> None:
    directory = tmp_path / "a" / "b"
    first = take(directory)
    assert directory.is_dir()
    for _ in range(2):
        with pytest.raises(VideoStoreError, match=f"{directory}.* is used by process {os.getpid()}"):
            DirectoryLock(directory)
    first.release()
    first.release()  # releasing it again does no harm
    take(directory)


def test_a_refused_recorder_keeps_no_descriptor(tmp_path: Path, take: TakeLock) -> None:
    take(tmp_path)
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        with pytest.raises(VideoStoreError):
            DirectoryLock(tmp_path)
    assert len(os.listdir("/dev/fd")) == before


def test_the_lock_of_a_killed_process_ends_with_it_even_while_its_child_runs(tmp_path: Path, take: TakeLock) -> None:
    command = [sys.executable, "-c", _LOCKER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            with pytest.raises(VideoStoreError):
                DirectoryLock(tmp_path)
            process.kill()
            process.wait()
            os.kill(child, 0)  # it is still running
            take(tmp_path)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_lock_on_the_same_directory_is_not_renewed(tmp_path: Path, take: TakeLock) -> None:
    lock = take(tmp_path / "storage")
    (tmp_path / "storage").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path / "storage")
    assert lock.renew() is False
    with pytest.raises(VideoStoreError):
        DirectoryLock(tmp_path / "storage")


@pytest.mark.parametrize("replace", [False, True])
def test_a_directory_that_was_removed_or_replaced_is_locked_again(
    tmp_path: Path, take: TakeLock, replace: bool
) -> None:
    directory = tmp_path / "storage"
    lock = take(directory)
    shutil.rmtree(directory)
    if replace:
        directory.mkdir()
        (directory / "1725000000.mp4").touch()
    assert lock.renew() is True
    assert [path.name for path in directory.iterdir()] == (["1725000000.mp4"] if replace else [])
    with pytest.raises(VideoStoreError):
        DirectoryLock(directory)
    assert lock.renew() is False


def test_a_directory_that_was_moved_away_is_unlocked_once_its_successor_is_locked(
    tmp_path: Path, take: TakeLock
) -> None:
    directory, elsewhere = tmp_path / "storage", tmp_path / "elsewhere"
    lock = take(directory)
    directory.rename(elsewhere)
    with pytest.raises(VideoStoreError):
        DirectoryLock(elsewhere)
    assert lock.renew() is True
    take(elsewhere)


def test_a_replaced_directory_that_another_recorder_has_locked_first_is_refused(tmp_path: Path, take: TakeLock) -> None:
    directory = tmp_path / "storage"
    lock = take(directory)
    directory.rename(tmp_path / "elsewhere")
    other = take(directory)
    for _ in range(2):
        with pytest.raises(VideoStoreError, match=f"is used by process {os.getpid()}"):
            lock.renew()
    other.release()
    assert lock.renew() is True


@pytest.mark.parametrize("below", [".", "a/b"])
def test_while_the_device_is_gone_nothing_is_created_in_its_place(small_disk: Path, take: TakeLock, below: str) -> None:
    directory = small_disk / below
    lock = take(directory)
    subprocess.run(["umount", "-l", small_disk], check=True)
    try:
        for _ in range(2):
            with pytest.raises(VideoStoreError, match=r"is gone\. Recording resumes when it is back"):
                lock.renew()
        assert list(small_disk.iterdir()) == []
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small_disk], check=True)
    if below != ".":  # another device, on which nothing was locked
        directory.mkdir(parents=True)
    assert lock.renew() is True
    with pytest.raises(VideoStoreError):
        DirectoryLock(directory)


def test_a_new_directory_is_for_its_owner_alone_and_an_existing_one_keeps_its_mode(tmp_path: Path) -> None:
    new, existing = tmp_path / "above" / "new", tmp_path / "existing"
    existing.mkdir()
    existing.chmod(0o750)
    above = os.umask(0o022)
    try:
        for directory in (new, existing):
            DirectoryLock(directory).release()
    finally:
        os.umask(above)
    assert stat.S_IMODE(new.stat().st_mode) == 0o700
    assert stat.S_IMODE(existing.stat().st_mode) == 0o750
    assert stat.S_IMODE(new.parent.stat().st_mode) == 0o755


def test_whether_a_directory_is_locked_can_be_found_out(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    lock = DirectoryLock(tmp_path)
    assert is_locked(tmp_path)
    lock.release()
    assert not is_locked(tmp_path)
    assert is_locked(tmp_path / "nowhere")  # unknown


def test_looking_at_a_directory_does_not_keep_a_recorder_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(looking))  # the look ends meanwhile
    DirectoryLock(tmp_path).release()


def test_it_is_seen_whether_the_directory_is_still_the_one_that_was_locked(tmp_path: Path, take: TakeLock) -> None:
    directory = tmp_path / "a"
    lock = take(directory)
    assert lock.is_in_place()
    directory.rename(tmp_path / "b")
    assert not lock.is_in_place()
    directory.mkdir()
    assert not lock.is_in_place()
    lock.renew()
    assert lock.is_in_place()
