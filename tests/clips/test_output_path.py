from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from videostore.base.errors import RequestError
from videostore.clips.output_path import check_target


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    path = tmp_path / "storage"
    (path / "within").mkdir(parents=True)
    return path


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("place", ["storage", "storage/within", "link", "other/../storage", "link/within"])
def test_nothing_is_written_into_the_storage_directory_by_whatever_name(
    storage: Path, tmp_path: Path, place: str, overwrite: bool
) -> None:
    (tmp_path / "link").symlink_to(storage)
    (tmp_path / "other").mkdir()
    with pytest.raises(RequestError, match="would lie in the storage directory"):
        check_target(tmp_path / place / "clip.mp4", storage, overwrite)
    with pytest.raises(RequestError, match="would lie in the storage directory"):
        check_target(storage / "within" / "clip.mp4", tmp_path / "link", overwrite)


def test_nor_where_it_was_when_it_is_gone(storage: Path, tmp_path: Path) -> None:
    shutil.rmtree(storage)
    assert check_target(tmp_path / "clip.mp4", storage, False) == tmp_path / "clip.mp4"
    with pytest.raises(RequestError, match="There is no directory"):
        check_target(storage / "clip.mp4", storage, False)


def test_a_regular_file_alone_is_overwritten(storage: Path, tmp_path: Path) -> None:
    evidence = storage / "1725000000.mp4"
    evidence.write_text("evidence")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(evidence)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    for name, kind in (("directory", "a directory"), ("link", "a symbolic link"), ("fifo", "a pipe")):
        with pytest.raises(RequestError, match=f"{name} is {kind}, and nothing but a regular file is overwritten"):
            check_target(tmp_path / name, storage, True)
    with pytest.raises(RequestError, match="null is a device"):
        check_target(Path("/dev/null"), storage, True)
    assert check_target(tmp_path / "file", storage, True) == tmp_path / "file"
    for name in ("directory", "link", "fifo", "file"):
        with pytest.raises(RequestError, match="exists already"):
            check_target(tmp_path / name, storage, False)


def test_the_way_to_a_target_is_told_without_links(storage: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "clips")
    assert check_target(tmp_path / "link" / "clip.mp4", storage, False) == tmp_path / "clips" / "clip.mp4"
