from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from videostore.storage.damaged_files import DAMAGED_DIRECTORY, DamagedFiles


def damaged(directory: Path, *sizes: int) -> DamagedFiles:
    """Files of these sizes, the oldest first."""
    files = DamagedFiles(directory)
    for number, size in enumerate(sizes):
        path = directory / f"{1725000000 + number}.mp4"
        path.write_bytes(bytes(size))
        os.utime(path, (number + 1, number + 1))
        files.add([path])
    return files


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / DAMAGED_DIRECTORY).iterdir())


def test_files_are_moved_and_none_is_overwritten(tmp_path: Path) -> None:
    files = damaged(tmp_path, 10)
    (tmp_path / "1725000000.mp4").write_bytes(b"another")
    files.add([tmp_path / "1725000000.mp4", tmp_path / "gone.mp4"])
    assert names(tmp_path) == ["1725000000.mp4", "1725000000.mp4.2"]
    assert (files.count, files.size_bytes) == (2, 17)
    assert stat.S_IMODE((tmp_path / DAMAGED_DIRECTORY).stat().st_mode) == 0o700


def test_the_oldest_go_when_there_is_no_room_and_foreign_files_stay(tmp_path: Path) -> None:
    files = damaged(tmp_path, 100, 100, 100)
    (tmp_path / DAMAGED_DIRECTORY / "notes.txt").write_bytes(bytes(5000))
    assert files.trim(300) == 0
    assert files.trim(150) == 2
    assert names(tmp_path) == ["1725000002.mp4", "notes.txt"]
    assert (files.count, files.size_bytes) == (1, 100)


def test_what_an_earlier_process_set_aside_is_counted(tmp_path: Path) -> None:
    damaged(tmp_path, 100, 50)
    files = DamagedFiles(tmp_path)
    assert (files.count, files.size_bytes) == (0, 0)
    files.measure()
    assert (files.count, files.size_bytes) == (2, 150)


def test_the_number_of_files_is_bounded_too(tmp_path: Path) -> None:
    files = damaged(tmp_path, 0)
    for number in range(10_000):
        (tmp_path / DAMAGED_DIRECTORY / f"{1735000000 + number}.mp4").touch()
    files.measure()
    assert files.trim(1 << 40) == 1
    assert "1725000000.mp4" not in names(tmp_path) and files.count == 10_000


def test_a_link_in_its_place_leads_nothing_out_of_the_storage_path_and_deletes_nothing_there(tmp_path: Path) -> None:
    storage, elsewhere, path = tmp_path / "storage", tmp_path / "elsewhere", tmp_path / "storage" / "1725000000.mp4"
    storage.mkdir()
    elsewhere.mkdir()
    (storage / DAMAGED_DIRECTORY).symlink_to(elsewhere)
    (elsewhere / "1725000001.mp4").write_bytes(bytes(100))
    path.write_bytes(bytes(10))
    files = DamagedFiles(storage)
    with pytest.raises(NotADirectoryError, match="symbolic link"):
        files.add([path])
    files.measure()
    assert files.trim(0) == 0 and (files.count, files.size_bytes) == (0, 0)
    assert path.exists() and (elsewhere / "1725000001.mp4").exists()
