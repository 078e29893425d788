from __future__ import annotations

import contextlib
import os
import resource
import shutil
from pathlib import Path

import pytest

from tests.support.recording import LOGGER
from tests.support.storage import make_old
from videostore.storage.segment_reader import SegmentReader


def unreadable(directory: Path) -> Path:
    """A segment that cannot be read and is old enough to be deleted."""
    path = directory / "1725634833.mp4"
    path.write_bytes(b"\xa5" * 5000)
    make_old(path)
    return path


def test_a_temporary_system_error_deletes_nothing(tmp_path: Path, recording: Path) -> None:
    """An old recording that is read while the process is out of file descriptors is read the next time."""
    reader = SegmentReader(tmp_path, LOGGER, keep_unreadable=False)
    path = tmp_path / "1725634833.mp4"
    shutil.copy(min(recording.glob("*.mp4")), path)
    os.utime(path, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name) for name in os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    held = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        segments = reader.read_all([path.name])
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert segments == [] and path.exists()
    assert [s.file_name for s in reader.read_all([path.name])] == [path.name]


def test_an_unreadable_file_is_kept_while_the_disk_reports_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = SegmentReader(tmp_path, LOGGER, keep_unreadable=False)
    path = unreadable(tmp_path)

    def failing(_: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("videostore.storage.segment_reader.read_through", failing)
        assert reader.read_all([path.name]) == []
    assert path.exists()
    assert reader.read_all([path.name]) == []
    assert not path.exists()


def test_with_keep_unreadable_an_unreadable_file_is_kept_and_the_others_are_read(
    tmp_path: Path, recording: Path
) -> None:
    whole = Path(shutil.copy(min(recording.glob("*.mp4")), tmp_path))
    path = unreadable(tmp_path)
    reader = SegmentReader(tmp_path, LOGGER, keep_unreadable=True)
    names = [path.name, "1725634999.mp4", whole.name]  # the second does not exist
    assert [segment.file_name for segment in reader.read_all(names)] == [whole.name]
    assert path.exists()
