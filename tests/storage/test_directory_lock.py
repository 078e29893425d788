from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from videostore.base.errors import VideoStoreError
from videostore.storage.directory_lock import DirectoryLock

_CLAIMER = """
import subprocess, sys
from pathlib import Path
from videostore.storage.directory_lock import DirectoryLock
claim = DirectoryLock(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "30"])  # as its ffmpeg
print(child.pid, flush=True)
sys.stdin.read()
"""
TakeClaim = Callable[[Path], DirectoryLock]


@pytest.fixture
def take() -> Iterator[TakeClaim]:
    """Claims directories until the end of the test."""
    with ExitStack() as stack:

        def claim_it(directory: Path) -> DirectoryLock:
            claim = DirectoryLock(directory)
            stack.callback(claim.release)
            return claim

        yield claim_it


def test_a_directory_is_made_and_a_second_recorder_is_refused_until_it_is_released(
    tmp_path: Path, take: TakeClaim
) -> None:
    directory = tmp_path / "a" / "b"
    first = take(directory)
    assert directory.is_dir()
    for _ in range(2):
        with pytest.raises(VideoStoreError, match=f"{directory}.* is in use by another recorder"):
            DirectoryLock(directory)
    first.release()
    first.release()  # once more does no harm
    take(directory)


def test_one_that_was_refused_keeps_no_descriptor(tmp_path: Path, take: TakeClaim) -> None:
    take(tmp_path)
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        with pytest.raises(VideoStoreError):
            DirectoryLock(tmp_path)
    assert len(os.listdir("/dev/fd")) == before


def test_the_claim_of_a_killed_process_ends_with_it_even_while_its_child_lives(tmp_path: Path, take: TakeClaim) -> None:
    command = [sys.executable, "-c", _CLAIMER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            with pytest.raises(VideoStoreError):
                DirectoryLock(tmp_path)
            process.kill()
            process.wait()
            os.kill(child, 0)  # it is there still
            take(tmp_path)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_claim_of_the_same_directory_need_not_be_renewed(tmp_path: Path, take: TakeClaim) -> None:
    claim = take(tmp_path / "storage")
    (tmp_path / "storage").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path / "storage")
    assert claim.renew() is False
    with pytest.raises(VideoStoreError):
        DirectoryLock(tmp_path / "storage")


@pytest.mark.parametrize("replace", [False, True])
def test_a_directory_that_was_removed_or_replaced_is_claimed_anew(
    tmp_path: Path, take: TakeClaim, replace: bool
) -> None:
    directory = tmp_path / "storage"
    claim = take(directory)
    shutil.rmtree(directory)
    if replace:
        directory.mkdir()
        (directory / "1725000000.mp4").touch()
    assert claim.renew() is True
    assert [path.name for path in directory.iterdir()] == (["1725000000.mp4"] if replace else [])
    with pytest.raises(VideoStoreError):
        DirectoryLock(directory)
    assert claim.renew() is False


def test_a_directory_that_was_moved_away_is_free_once_another_is_claimed_in_its_place(
    tmp_path: Path, take: TakeClaim
) -> None:
    directory, elsewhere = tmp_path / "storage", tmp_path / "elsewhere"
    claim = take(directory)
    directory.rename(elsewhere)
    with pytest.raises(VideoStoreError):
        DirectoryLock(elsewhere)
    assert claim.renew() is True
    take(elsewhere)


def test_a_directory_that_another_recorder_was_quicker_to_claim_is_left_to_it(tmp_path: Path, take: TakeClaim) -> None:
    directory = tmp_path / "storage"
    claim = take(directory)
    directory.rename(tmp_path / "elsewhere")
    other = take(directory)
    for _ in range(2):
        with pytest.raises(VideoStoreError, match="in use by another recorder"):
            claim.renew()
    other.release()
    assert claim.renew() is True


@pytest.mark.parametrize("below", [".", "a/b"])
def test_while_the_device_is_gone_nothing_is_made_in_its_place(small_disk: Path, take: TakeClaim, below: str) -> None:
    directory = small_disk / below
    claim = take(directory)
    subprocess.run(["umount", "-l", small_disk], check=True)
    try:
        for _ in range(2):
            with pytest.raises(VideoStoreError, match="is gone; the recording waits for it"):
                claim.renew()
        assert list(small_disk.iterdir()) == []
    finally:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small_disk], check=True)
    if below != ".":  # it is another device, and there is nothing on it that was claimed
        directory.mkdir(parents=True)
    assert claim.renew() is True
    with pytest.raises(VideoStoreError):
        DirectoryLock(directory)
