from __future__ import annotations

import os
from pathlib import Path

import pytest

from videostore.storage.write_room import lacking_room, try_to_write


def test_where_there_is_room_nothing_is_lacking_and_nothing_is_left(tmp_path: Path) -> None:
    assert lacking_room(tmp_path, 1 << 20) is None
    assert not list(tmp_path.iterdir())


def test_a_full_file_system_lacks_room_and_a_broken_path_does_not(small_disk: Path) -> None:
    assert lacking_room(small_disk, 6 << 20) is None
    assert lacking_room(small_disk, 20 << 20) == os.strerror(28)
    assert lacking_room(small_disk / "nowhere", 1) is None
    assert not list(small_disk.iterdir())


def test_without_nameless_files_named_ones_are_tried_and_removed(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    assert lacking_room(small_disk, 6 << 20) is None
    assert lacking_room(small_disk, 20 << 20) == os.strerror(28)
    assert not list(small_disk.iterdir())


def test_an_attempt_to_write_tells_why_it_fails_and_leaves_nothing(small_disk: Path) -> None:
    try_to_write(small_disk / "x", 6 << 20)
    with pytest.raises(OSError, match="No space left"):
        try_to_write(small_disk / "x", 20 << 20)
    with pytest.raises(FileNotFoundError):
        try_to_write(small_disk / "nowhere" / "x", 1)
    assert not list(small_disk.iterdir())
    (small_disk / "x").touch()
    with pytest.raises(FileExistsError):
        try_to_write(small_disk / "x", 1)
    assert (small_disk / "x").exists()
