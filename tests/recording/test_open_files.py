from __future__ import annotations

from pathlib import Path

import pytest

from videostore.base.files import sync_file
from videostore.media.segment_names import open_name
from videostore.recording.open_files import OpenFiles

EPOCH_US = 1_700_000_000_000_000


@pytest.fixture
def files(tmp_path: Path) -> OpenFiles:
    return OpenFiles(tmp_path, EPOCH_US)


def written(directory: Path, number: int, data: bytes = b"x") -> Path:
    path = directory / open_name(EPOCH_US, number)
    path.write_bytes(data)
    return path


def test_none_is_found_before_ffmpeg_has_made_one(files: OpenFiles, tmp_path: Path) -> None:
    assert files.find() == [] == files.known
    written(tmp_path, 0).rename(tmp_path / "of-another-name")
    assert files.find() == []


def test_they_are_found_in_order_until_they_are_renamed(files: OpenFiles, tmp_path: Path) -> None:
    paths = []
    for number in range(4):
        paths.append(written(tmp_path, number))
        assert files.find() == paths == files.known
    paths.pop(1).rename(tmp_path / "closed")
    assert files.find() == paths
    for path in paths[:2]:
        path.rename(tmp_path / "closed")
    assert files.find() == paths[2:]
    paths.append(written(tmp_path, 4))
    assert files.find() == paths[2:]


def test_nothing_has_changed_as_far_as_a_failing_disk_tells(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    directory = tmp_path / "directory"
    directory.mkdir()
    files, paths = OpenFiles(directory, EPOCH_US), [written(directory, number) for number in range(2)]
    assert files.find() == paths
    directory.rename(tmp_path / "elsewhere")
    directory.symlink_to(loop)
    loop.symlink_to(directory)  # ELOOP: whether a file is there is not known
    assert files.find() == paths


def test_the_last_one_is_synced_whenever_it_has_changed(
    files: OpenFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(path: Path) -> None:
        sync_file(path)
        synced.append(path.name)

    monkeypatch.setattr("videostore.recording.open_files.sync_file", note)
    files.sync()
    first = written(tmp_path, 0)
    for _ in range(2):
        files.sync()
    assert synced == [first.name]
    first.write_bytes(b"longer")
    files.sync()
    second = written(tmp_path, 1)
    files.sync()
    assert synced == [first.name, first.name, second.name]
