from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from videostore.base.errors import VideoStoreError
from videostore.storage.directory_lock import DirectoryLock
from videostore.storage.lock_holder import command_of

_LOCKER = """
import sys
from pathlib import Path
from videostore.storage.directory_lock import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def refusal(directory: Path) -> str:
    with pytest.raises(VideoStoreError) as refused:
        DirectoryLock(directory)
    return str(refused.value)


def test_a_recorder_of_the_same_process_is_named(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path, "front-door")
    assert f"{str(tmp_path)!r} is used by the recorder 'front-door'. Give each" in refusal(tmp_path)
    lock.release()
    unnamed = DirectoryLock(tmp_path)
    assert f"is used by process {os.getpid()}" in refusal(tmp_path)
    unnamed.release()


def test_another_process_is_named_by_its_number_and_its_program(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _LOCKER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None and process.stdout.readline() == b"locked\n"
        assert f"is used by process {process.pid}" in refusal(tmp_path)
        process.kill()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/opt/python3.11", "/usr/bin/videostore", "record", "rtsp://a:secret@host/x"], "videostore record"),
        (["videostore", "rtsp://a:secret@host/x"], "videostore"),
        (["python3", "-m", "videostore", "/run/viam.sock"], "videostore"),
        (["name\nof two lines"], ""),
        ([], ""),
    ],
)
def test_the_arguments_of_a_process_are_not_told(words: list[str], said: str) -> None:
    assert command_of(b"".join(os.fsencode(word) + b"\0" for word in words)) == said
