from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from videostore.base.errors import RequestError
from videostore.clips.output_path import CLIP, PICTURE, OutputFormat, check_output_path


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    path = tmp_path / "storage"
    (path / "within").mkdir(parents=True)
    return path


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("place", ["storage", "storage/within", "link", "other/../storage", "link/within"])
def test_nothing_is_written_into_the_storage_directory_by_any_of_its_names(
    storage: Path, tmp_path: Path, place: str, overwrite: bool
) -> None:
    (tmp_path / "link").symlink_to(storage)
    (tmp_path / "other").mkdir()
    with pytest.raises(RequestError, match="is inside the storage directory"):
        check_output_path(tmp_path / place / "clip.mp4", storage, overwrite, CLIP)
    with pytest.raises(RequestError, match="is inside the storage directory"):
        check_output_path(storage / "within" / "clip.mp4", tmp_path / "link", overwrite, CLIP)


def test_nor_where_it_was_before_it_was_removed(storage: Path, tmp_path: Path) -> None:
    shutil.rmtree(storage)
    assert check_output_path(tmp_path / "clip.mp4", storage, False, CLIP) == tmp_path / "clip.mp4"
    with pytest.raises(RequestError, match=r"There is no directory .*Create it first"):
        check_output_path(storage / "clip.mp4", storage, False, CLIP)


def test_only_a_regular_file_is_overwritten(storage: Path, tmp_path: Path) -> None:
    evidence = storage / "1725000000.mp4"
    evidence.write_text("evidence")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(evidence)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    for name, kind in (("directory", "a directory"), ("link", "a symbolic link"), ("fifo", "a pipe")):
        with pytest.raises(RequestError, match=f"{name} is {kind}, and only regular files are overwritten"):
            check_output_path(tmp_path / name, storage, True, CLIP)
    with pytest.raises(RequestError, match="null is a device"):
        check_output_path(Path("/dev/null"), storage, True, CLIP)
    assert check_output_path(tmp_path / "file", storage, True, CLIP) == tmp_path / "file"
    for name in ("directory", "link", "fifo", "file"):
        with pytest.raises(RequestError, match=r"The file .* exists\."):
            check_output_path(tmp_path / name, storage, False, CLIP)


def test_links_in_the_directory_of_an_output_path_are_resolved(storage: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "clips")
    assert check_output_path(tmp_path / "link" / "clip.mp4", storage, False, CLIP) == tmp_path / "clips" / "clip.mp4"


@pytest.mark.parametrize("written", [CLIP, PICTURE])
def test_a_name_that_says_something_else_is_refused(storage: Path, tmp_path: Path, written: OutputFormat) -> None:
    for ending in (*written.endings, "", ".part", ".backup", written.endings[0].upper()):
        assert check_output_path(tmp_path / f"front.door{ending}", storage, False, written).suffix == (
            ending or ".door"
        )
    other = PICTURE if written is CLIP else CLIP
    for ending in (*other.endings, ".avi", ".MKV", ".png", ".mov"):
        with pytest.raises(RequestError) as refused:
            check_output_path(tmp_path / f"clip{ending}", storage, False, written)
        assert str(refused.value) == (
            f"The file {tmp_path}/clip{ending} would be {written.name}, which is not what its name says. Choose a name "
            f"that ends in {written.endings[0]}."
        )
