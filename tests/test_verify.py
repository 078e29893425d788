from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.painted_camera import check_clip, read_clip
from tests.recording import LOGGER, US, Pulse, Stores, capture_times, record, until, write_foreign
from videostore.errors import NothingStoredError, VideoStoreError
from videostore.fragments import read_fragments
from videostore.index import FILE_NAME
from videostore.store import VideoStore
from videostore.verify import DAMAGED_DIRECTORY, Problem, Report, repair, verify

Harm = Callable[[Path], None]


@pytest.fixture
def storage(tmp_path: Path, recording: Path) -> Path:
    """A copy of the recording of 7 s: segments 0 to 3, and their index."""
    return Path(shutil.copytree(recording, tmp_path / "storage"))


def segment(directory: Path, number: int) -> Path:
    return sorted(directory.glob("*.mp4"))[number]


def problems(report: Report) -> list[tuple[str, Problem]]:
    return [(one.file_name, one.problem) for one in report.findings]


async def test_a_sound_directory_has_nothing_wrong_and_every_frame_decodes(storage: Path, times: list[int]) -> None:
    seen: list[tuple[int, int]] = []
    report = await verify(storage, on_file=lambda done, of: seen.append((done, of)))
    assert report == Report(4, len(times), ())
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_a_segment_whose_pictures_are_damaged_does_not_decode_and_stays_as_it_is(storage: Path) -> None:
    path = segment(storage, 1)
    fragment = read_fragments(path).fragments[0]
    with path.open("r+b") as file:
        file.seek(fragment.end_byte - 2000)
        file.write(os.urandom(1500))
    before = path.read_bytes()
    report = await verify(storage)
    assert problems(report) == [(path.name, Problem.NOT_DECODED)]
    await repair(storage, report.findings)
    assert path.read_bytes() == before
    assert problems(await verify(storage, decode=False)) == []


async def test_a_segment_that_lost_its_end_is_told_and_stays(storage: Path) -> None:
    path = segment(storage, 1)
    os.truncate(path, path.stat().st_size * 8 // 10)
    report = await verify(storage)
    assert (path.name, Problem.CUT_OFF) in problems(report)
    await repair(storage, report.findings)
    assert path.exists() and not (storage / DAMAGED_DIRECTORY).exists()
    assert problems(await verify(storage, decode=False)) == [(path.name, Problem.CUT_OFF)]


def delete_row(storage: Path) -> None:
    change_index(storage, "DELETE FROM files WHERE file_name = ?", segment(storage, 1).name)


def falsify_row(storage: Path) -> None:
    change_index(storage, "UPDATE files SET start_us = start_us - 700000 WHERE file_name = ?", segment(storage, 1).name)


def change_index(storage: Path, statement: str, name: str) -> None:
    connection = sqlite3.connect(storage / FILE_NAME)
    with connection:
        assert connection.execute(statement, (name,)).rowcount == 1
    connection.close()


def delete_file(storage: Path) -> None:
    segment(storage, 1).unlink()


def delete_index(storage: Path) -> None:
    (storage / FILE_NAME).unlink()


def spoil_index(storage: Path) -> None:
    (storage / FILE_NAME).write_bytes(b"no database" * 1000)


def reopen(storage: Path) -> None:
    path = segment(storage, 3)
    change_index(storage, "DELETE FROM files WHERE file_name = ?", path.name)
    path.rename(storage / "1725000000123457-000003.open")


def spoil_file(storage: Path) -> None:
    path = segment(storage, 1)
    path.write_bytes(b"\xa5garbage" * 1000)
    os.utime(path, (0, 0))  # old: a recorder would remove it


def spoil_open(storage: Path) -> None:
    path = storage / "1725000000123457-000007.open"
    path.write_bytes(b"\xa5garbage" * 1000)
    os.utime(path, (0, 0))


@pytest.mark.parametrize(
    ("harm", "problem", "left"),
    [
        (delete_row, Problem.NOT_INDEXED, 4),
        (falsify_row, Problem.ROW_DIFFERS, 4),
        (delete_file, Problem.NO_FILE, 3),
        (delete_index, Problem.INDEX_GONE, 4),
        (spoil_index, Problem.INDEX_GONE, 4),
        (reopen, Problem.NOT_CLOSED, 4),
        (spoil_file, Problem.UNREADABLE, 3),
        (spoil_open, Problem.UNREADABLE, 4),
    ],
)
async def test_what_is_wrong_is_found_and_repaired_and_nothing_is_deleted(
    storage: Path, harm: Harm, problem: Problem, left: int
) -> None:
    harm(storage)
    contents = {path.read_bytes() for path in storage.iterdir() if path.suffix in (".mp4", ".open")}
    report = await verify(storage, decode=False)
    assert {one.problem for one in report.findings} == {problem}, report.findings
    await repair(storage, report.findings, logger=LOGGER)
    assert await verify(storage) == Report(left, report_frames(storage), ())
    assert {path.read_bytes() for path in storage.rglob("*") if path.suffix in (".mp4", ".open")} == contents


def report_frames(storage: Path) -> int:
    return sum(len(read_fragments(path).times_us) for path in storage.glob("*.mp4"))


async def test_what_is_put_aside_twice_keeps_both(storage: Path) -> None:
    name = segment(storage, 1).name
    for content in (b"one" * 100, b"two" * 100):
        (storage / name).write_bytes(content)
        await repair(storage, (await verify(storage, decode=False)).findings)
    aside = storage / DAMAGED_DIRECTORY
    assert {path.name: path.read_bytes()[:3] for path in aside.iterdir()} == {name: b"one", f"{name}.2": b"two"}


async def test_looking_changes_nothing(storage: Path) -> None:
    spoil_file(storage)
    delete_row(storage)
    before = {path.name: (path.stat(), path.read_bytes()) for path in storage.iterdir()}
    assert len((await verify(storage)).findings) == 1  # the file that cannot be read hides its row
    after = {path.name: (path.stat(), path.read_bytes()) for path in storage.iterdir()}
    assert {n: (s.st_mtime_ns, s.st_nlink, b) for n, (s, b) in after.items()} == {
        n: (s.st_mtime_ns, s.st_nlink, b) for n, (s, b) in before.items()
    }


async def test_files_of_other_programs_are_no_problem_and_those_of_the_go_module_are_verified(tmp_path: Path) -> None:
    await write_foreign(tmp_path / "1725634833.mp4")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "1.mp4").write_text("x")
    report = await verify(tmp_path)
    assert problems(report) == [(FILE_NAME, Problem.INDEX_GONE)]
    assert (report.segments, report.decoded_frames) == (1, 30)


async def test_a_directory_without_a_recording_is_refused_and_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(NothingStoredError, match="There is no recording in"):
        await verify(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(VideoStoreError, match="cannot be read: No such file"):
        await verify(tmp_path / "nowhere")


async def test_beside_a_recorder_nothing_is_wrong_and_a_repair_is_refused(stores: Stores) -> None:
    pulse = Pulse(0.05)
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 2)
    report = await verify(stores.storage)
    assert report.findings == () and report.segments >= 2
    with pytest.raises(VideoStoreError, match="in use by another recorder"):
        await repair(stores.storage, report.findings)
    recorder = store.health().recorder
    assert recorder is not None and recorder.recording and recorder.ffmpeg_restarts == 0


async def test_after_a_repair_a_recorder_serves_all_that_was_there(stores: Stores) -> None:
    times = capture_times(7)
    await record(stores.storage, times)  # as after a kill: nothing is closed
    report = await verify(stores.storage)
    assert {problem for _, problem in problems(report)} == {Problem.NOT_CLOSED, Problem.INDEX_GONE}
    await repair(stores.storage, report.findings)
    async with VideoStore.open(stores.storage) as store:
        clip = await store.fetch(times[3], times[60])
    assert check_clip(read_clip(clip.data), times, times[3], times[60]).flawless
    assert times[0] + 6 * US < times[-1]
