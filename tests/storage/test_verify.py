from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import LOGGER, US, Pulse, Stores, capture_times, record, take_over, until, write_foreign
from videostore.base.errors import NothingStoredError, VideoStoreError
from videostore.media.fmp4 import read_fragments
from videostore.media.segment_names import open_name
from videostore.storage.index import FILE_NAME
from videostore.storage.verify import DAMAGED_DIRECTORY, Finding, Problem, Report, repair, verify
from videostore.store.store import VideoStore

Harm = Callable[[Path], None]


@pytest.fixture
def storage(tmp_path: Path, recording: Path) -> Path:
    """A copy of the recording of 7 s: segments 0 to 3, and their index."""
    return Path(shutil.copytree(recording, tmp_path / "storage"))


def segment(directory: Path, number: int) -> Path:
    return sorted(directory.glob("*.mp4"))[number]


def make_old(path: Path, minutes: float = 31) -> None:
    then = time.time() - minutes * 60
    os.utime(path, (then, then))


def spoil_header(path: Path, fragment: int) -> None:
    """64 bad bytes where a fragment begins, as of a bad sector."""
    with path.open("r+b") as file:
        file.seek(read_fragments(path).fragments[fragment - 1].end_byte)
        file.write(b"\xff" * 64)


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
        file.seek(fragment.end_byte - 30_000)
        file.write(random.Random(1).randbytes(20_000))  # several pictures: some garbage decodes without a complaint
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
        make_old(storage / name)
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


# What is damaged in its midst


async def test_repairing_an_open_segment_with_bad_bytes_in_its_middle_keeps_every_byte(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    await record(storage, capture_times(20), segment_seconds=30)
    (path,) = storage.glob("*.open")
    spoil_header(path, 4)
    before, readable = path.read_bytes(), read_fragments(path).times_us
    report = await verify(storage, decode=False)
    assert (path.name, Problem.NOT_CLOSED) in problems(report)
    await repair(storage, report.findings)
    closed = segment(storage, 0)
    assert closed.read_bytes() == before
    assert problems(await verify(storage, decode=False)) == [(closed.name, Problem.DAMAGED)]
    async with VideoStore.open(storage) as store:
        clip = await store.fetch(readable[0], readable[-1] + 10 * US)
    assert check_clip(read_clip(clip.data), readable, readable[0], readable[-1] + 10 * US).flawless


async def test_of_a_closed_segment_that_is_damaged_in_its_middle_only_that_is_told_and_it_stays(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    await record(storage, capture_times(8), segment_seconds=30)
    await take_over(storage)
    path = segment(storage, 0)
    spoil_header(path, 3)
    before = path.read_bytes()
    for _ in range(2):
        report = await verify(storage, decode=False)
        assert problems(report) == [(path.name, Problem.DAMAGED)]
        await repair(storage, report.findings)
    assert path.read_bytes() == before


# What cannot be read just now, and what may still be being written


def without_rights(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user to whom the rights of files apply: also for root."""
    command = [sys.executable, "-m", "videostore", *map(str, arguments)]
    if os.geteuid() == 0:
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


async def test_files_that_may_not_be_read_are_told_to_be_so_and_stay_where_they_are(storage: Path) -> None:
    change_index(storage, "DELETE FROM files WHERE file_name = ?", segment(storage, 3).name)  # there is what to repair
    opened = storage / open_name(1_725_000_000_123_457, 7)
    shutil.copy(segment(storage, 0), opened)
    locked = [segment(storage, 0), segment(storage, 1), opened]
    before = {path: path.read_bytes() for path in locked}
    for path in locked:
        make_old(path)
        path.chmod(0)
    done = without_rights("verify", "--repair", "--quick", "--storage", storage)
    told = "it cannot be read just now, which says nothing of what it holds (Permission denied)."
    assert done.returncode == 3, done.stderr
    assert all(f"{path.name}: {told}\n" in done.stdout for path in locked), done.stdout
    assert f"repaired: {segment(storage, 3).name}" in done.stdout and "1 repaired, 3 left;" in done.stdout
    for path in locked:
        path.chmod(0o600)
    assert {path: path.read_bytes() for path in locked} == before
    assert not (storage / DAMAGED_DIRECTORY).exists()


async def test_what_the_disk_does_not_give_is_not_taken_for_damage(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libav takes an error within a file for its end, and calls that invalid data."""
    spoil_file(storage)
    (finding,) = (await verify(storage, decode=False)).findings
    assert finding.problem is Problem.UNREADABLE

    def failing(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("videostore.storage.verify.read_through", failing)
    report = await verify(storage, decode=False)
    assert [(one.problem, one.detail) for one in report.findings] == [(Problem.NOT_READ, "Input/output error")]
    await repair(storage, [finding])
    assert (storage / finding.file_name).exists()


@pytest.mark.parametrize("name", ["1725000100.mp4", open_name(1_725_000_000_123_457, 7)])
async def test_what_cannot_be_read_stays_while_somebody_may_still_be_writing_it(storage: Path, name: str) -> None:
    path = storage / name
    path.write_bytes(b"\0\0\0\x18ftyp" + b"half-written")
    make_old(path, minutes=29)
    report = await verify(storage, decode=False)
    assert problems(report) == [(name, Problem.BEING_WRITTEN)]
    await repair(storage, report.findings)
    await repair(storage, [Finding(name, Problem.UNREADABLE)])
    assert path.exists()
    make_old(path)
    report = await verify(storage, decode=False)
    assert problems(report) == [(name, Problem.UNREADABLE)]
    await repair(storage, report.findings)
    assert [one.name for one in (storage / DAMAGED_DIRECTORY).iterdir()] == [name]


async def test_what_was_put_right_since_it_was_looked_at_is_left_alone(storage: Path) -> None:
    path = segment(storage, 1)
    whole = path.read_bytes()
    path.write_bytes(b"")
    make_old(path)
    report = await verify(storage, decode=False)
    assert problems(report) == [(path.name, Problem.UNREADABLE)]
    path.write_bytes(whole)
    make_old(path)
    await repair(storage, report.findings)
    assert path.read_bytes() == whole
    assert problems(await verify(storage, decode=False)) == []


@pytest.mark.parametrize("spoil", [spoil_file, spoil_open])
async def test_a_repair_of_the_index_alone_deletes_no_other_file(storage: Path, spoil: Harm) -> None:
    spoil(storage)
    delete_index(storage)
    before = sorted(path.name for path in storage.iterdir())
    report = await verify(storage, decode=False)
    await repair(storage, [one for one in report.findings if one.problem is Problem.INDEX_GONE])
    assert sorted(path.name for path in storage.iterdir() if not path.name.startswith(FILE_NAME)) == before
    assert [problem for _, problem in problems(await verify(storage, decode=False))] == [Problem.UNREADABLE]


# Beside a recorder


async def test_beside_a_recorder_nothing_is_wrong_by_whatever_path_one_looks(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(stores.storage)
    store = await stores.open(Pulse(0.05), segment_seconds=30)
    await until(lambda: list(stores.storage.glob("*.open")) and store.health().recorder is not None)
    monkeypatch.chdir(stores.storage.parent)
    for path in (tmp_path / "link", Path(stores.storage.name)):
        report = await verify(path, decode=False)
        assert report.findings == ()


async def test_an_open_segment_that_is_named_or_grows_meanwhile_is_no_finding(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its writer is not to be seen: in another container, or of another user."""
    content = segment(storage, 3).read_bytes()
    named, growing = (storage / open_name(1_725_000_000_123_457, number) for number in (7, 8))
    for path in (named, growing):
        path.write_bytes(content)

    async def settle(_: float) -> None:
        named.unlink(missing_ok=True)
        with growing.open("ab") as file:
            file.write(b"\0")

    monkeypatch.setattr("videostore.storage.verify.asyncio.sleep", settle)
    assert problems(await verify(storage, decode=False)) == []
