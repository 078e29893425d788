from __future__ import annotations

import contextlib
import os
import resource
import shutil
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US
from tests.support.storage import make_old
from videostore.media.segment_names import open_name
from videostore.storage.segment_reader import SegmentReader


def reader_of(directory: Path) -> SegmentReader:
    return SegmentReader(directory, LOGGER, keep_unreadable=False)


def names_of(reader: SegmentReader) -> list[str]:
    """Unreadable files that are still in their place."""
    return list(reader.unreadable)


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


def test_a_young_unreadable_file_is_named_once_and_set_aside_when_it_is_old(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader, path = reader_of(tmp_path), unreadable(tmp_path)
    make_old(path, 29)
    for _ in range(3):
        assert reader.read_all([path.name]) == []
    (said,) = caplog.messages
    assert said.startswith("1725634833.mp4 (5000 bytes) cannot be read. ") and "damaged/ 30 minutes after" in said
    assert path.exists() and names_of(reader) == [path.name]
    make_old(path, 31)
    reader.read_all([path.name])
    assert (tmp_path / "damaged" / path.name).read_bytes() == b"\xa5" * 5000 and not path.exists()
    assert names_of(reader) == [] and reader._damaged.newest == (path.name,)


@pytest.mark.parametrize("days", [1 / 24, 1, 10_000])
def test_a_file_that_was_changed_in_the_future_is_old(tmp_path: Path, days: float) -> None:
    """The clock has been set back since then."""
    reader, path = reader_of(tmp_path), unreadable(tmp_path)
    make_old(path, -days * 24 * 60)
    reader.read_all([path.name])
    assert not path.exists() and (tmp_path / "damaged" / path.name).exists()


@pytest.mark.parametrize("minutes", [40, -24 * 60])
def test_a_file_that_has_changed_since_the_last_walk_is_left_alone_however_old_it_looks(
    tmp_path: Path, minutes: float
) -> None:
    reader, path = reader_of(tmp_path), unreadable(tmp_path)
    reader.walking = True
    make_old(path, 1)
    reader.read_all([path.name])
    for number in range(4):
        if number != 2:  # another size, or only another time
            with path.open("ab") as file:
                file.write(b"\xa5")
        make_old(path, minutes - number)
        reader.read_all([path.name])
        assert path.exists() and names_of(reader) == [path.name]
    reader.read_all([path.name])
    assert not path.exists() and (tmp_path / "damaged" / path.name).exists()


def test_a_file_that_changes_while_it_is_looked_at_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, path = reader_of(tmp_path), unreadable(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("videostore.storage.segment_reader.read_through", make_old)
        reader.read_all([path.name])
    assert path.exists()


def test_an_unreadable_file_that_becomes_readable_or_vanishes_is_forgotten(tmp_path: Path, recording: Path) -> None:
    reader, whole = reader_of(tmp_path), min(recording.glob("*.mp4"))
    path, other = tmp_path / whole.name, tmp_path / "1725634999.mp4"
    for one in (path, other):
        one.write_bytes(whole.read_bytes()[:200])
        reader.read_all([one.name])
    assert names_of(reader) == [path.name, other.name]
    path.write_bytes(whole.read_bytes())
    other.unlink()
    assert len(reader.read_all([path.name])) == 1
    assert names_of(reader) == [other.name]
    reader.forget_vanished()
    assert names_of(reader) == []


def test_only_so_many_unreadable_files_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videostore.storage.segment_reader.MOST_WAITING", 3)
    reader = reader_of(tmp_path)
    names = [f"{1725634000 + number}.mp4" for number in range(5)]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    reader.read_all(names)
    assert names_of(reader) == names[-3:]


def test_with_keep_unreadable_an_unreadable_file_is_kept_and_the_others_are_read(
    tmp_path: Path, recording: Path
) -> None:
    whole = Path(shutil.copy(min(recording.glob("*.mp4")), tmp_path))
    path = unreadable(tmp_path)
    reader = SegmentReader(tmp_path, LOGGER, keep_unreadable=True)
    names = [path.name, "1725634999.mp4", whole.name]  # the second does not exist
    assert [segment.file_name for segment in reader.read_all(names)] == [whole.name]
    assert path.exists()


def header_of(segment: Path) -> bytes:
    """What ffmpeg writes before the first fragment."""
    content = segment.read_bytes()
    return content[: content.index(b"prft") - 4]


@pytest.mark.parametrize("cut", [0, 3, 7, 40, None])
def test_what_was_begun_without_a_frame_is_told_once_and_removed_when_it_is_old(
    tmp_path: Path, recording: Path, caplog: pytest.LogCaptureFixture, cut: int | None
) -> None:
    caplog.set_level("INFO")
    reader, path = reader_of(tmp_path), tmp_path / open_name(START_US, 3)
    path.write_bytes(header_of(min(recording.glob("*.mp4")))[:cut])
    make_old(path, 29)
    for _ in range(3):
        reader.set_aside(path)
    assert caplog.messages == [f"{path.name} holds no frame: its recorder was ended in its first second."]
    assert path.exists() and names_of(reader) == []
    make_old(path, 31)
    reader.set_aside(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["part of a fragment", "a wrong length", "another name", "kept", "no header"])
def test_what_may_hold_a_frame_is_not_removed(tmp_path: Path, recording: Path, kind: str) -> None:
    segment = min(recording.glob("*.mp4"))
    content = bytearray(header_of(segment))
    path = tmp_path / (open_name(START_US, 3) if kind != "another name" else "1725634833.mp4")
    if kind == "part of a fragment":
        content = bytearray(segment.read_bytes()[: len(content) + 200])
    elif kind == "a wrong length":  # the header claims to be the whole file
        content = bytearray(segment.read_bytes())
        at = content.index(b"moov") - 4
        content[at : at + 4] = (len(content) - at).to_bytes(4, "big")
    elif kind == "no header":
        content = bytearray(b"\xa5" * 5000)
    path.write_bytes(content)
    make_old(path, 31)
    reader = SegmentReader(tmp_path, LOGGER, keep_unreadable=kind == "kept")
    reader.set_aside(path)
    assert [one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()] == [content]
