"""What is said of a disk that has no room: where, how much is free, and what to do, before ffmpeg's words."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.sentences import assert_sentence
from videostore.recording.full_disk import full_disk

NO_ROOM = "[out#0/segment] Error muxing a packet: No space left on device"


async def test_a_full_disk_is_named_with_what_is_free_before_what_ffmpeg_said(tmp_path: Path) -> None:
    error = await full_disk(tmp_path, NO_ROOM)
    assert error is not None and error.code == "storage-full"
    assert error.fields["path"] == tmp_path
    assert abs(error.fields["free_bytes"] - shutil.disk_usage(tmp_path).free) < 1 << 32
    assert_sentence(str(error))
    assert str(error).startswith(f"'{tmp_path}' had no room") and str(error).endswith(f"ffmpeg said: {NO_ROOM}.")


async def test_a_disk_without_inodes_and_a_quota_are_told_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full: Any = SimpleNamespace(f_bavail=1 << 20, f_frsize=4096, f_favail=0, f_files=100)
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    error = await full_disk(tmp_path, NO_ROOM)
    assert error is not None and error.code == "storage-full-files" and "inodes" in str(error)
    full.f_files = 0  # such as btrfs, which counts none
    error = await full_disk(tmp_path, NO_ROOM)
    assert error is not None and error.code == "storage-full"
    error = await full_disk(tmp_path, "Error muxing a packet: Disk quota exceeded")
    assert error is not None and error.code == "storage-full-quota" and "quota" in str(error)


@pytest.mark.parametrize("said", ["", "Input/output error", "Read-only file system"])
async def test_other_reasons_are_left_as_they_are(tmp_path: Path, said: str) -> None:
    assert await full_disk(tmp_path, said) is None


async def test_a_directory_that_is_gone_leaves_ffmpegs_words(tmp_path: Path) -> None:
    assert await full_disk(tmp_path / "gone", NO_ROOM) is None
