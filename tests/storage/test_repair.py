from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import videostore
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.damage import (
    Damage,
    add_unreadable_open,
    change_index,
    delete_file,
    delete_index,
    delete_row,
    falsify_row,
    frame_count,
    overwrite_file,
    overwrite_header,
    overwrite_index,
    problems,
    reopen,
    segment,
)
from tests.support.damaged_frames import SLICE, damage_frame
from tests.support.recording import LOGGER, US, Stores, capture_times, record, take_over
from tests.support.storage import OtherPath, make_old
from videostore import repair_directory, verify_directory
from videostore.base.errors import VideoStoreError
from videostore.base.files import AnyPath
from videostore.media.fmp4 import read_fragments
from videostore.media.segment_names import open_name
from videostore.storage.damaged_files import DAMAGED_DIRECTORY
from videostore.storage.findings import Finding, Problem, VerificationReport
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore


@pytest.fixture(autouse=True)
def short_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """No recorder works on these directories, so a check need not wait for one."""
    monkeypatch.setattr("videostore.storage.verify._SETTLED_S", 0.2)


@pytest.mark.parametrize(
    ("damage", "problem", "left"),
    [
        (delete_row, Problem.NOT_INDEXED, 4),
        (falsify_row, Problem.ROW_DIFFERS, 4),
        (delete_file, Problem.NO_FILE, 3),
        (delete_index, Problem.INDEX_GONE, 4),
        (overwrite_index, Problem.INDEX_GONE, 4),
        (reopen, Problem.NOT_CLOSED, 4),
        (overwrite_file, Problem.UNREADABLE, 3),
        (add_unreadable_open, Problem.UNREADABLE, 4),
    ],
)
async def test_every_repairable_problem_is_found_and_repaired_and_nothing_is_deleted(
    storage: Path, damage: Damage, problem: Problem, left: int
) -> None:
    damage(storage)
    contents = {path.read_bytes() for path in storage.iterdir() if path.suffix in (".mp4", ".open")}
    report = await verify_directory(storage, decode=False)
    assert {one.problem for one in report.findings} == {problem}, report.findings
    await repair_directory(storage, report.findings, logger=LOGGER)
    assert await verify_directory(storage) == VerificationReport(left, frame_count(storage), ())
    assert {path.read_bytes() for path in storage.rglob("*") if path.suffix in (".mp4", ".open")} == contents


@pytest.mark.parametrize("kind", [str, os.fsencode, Path, OtherPath])
async def test_a_repair_takes_every_kind_of_path(storage: Path, kind: Callable[[Path], AnyPath]) -> None:
    delete_row(storage)
    report = await verify_directory(storage, decode=False)
    assert len(report.findings) == 1
    await videostore.repair_directory(kind(storage), report.findings)
    assert (await verify_directory(storage, decode=False)).findings == ()


async def test_two_damaged_files_of_the_same_name_are_both_kept(storage: Path) -> None:
    name = segment(storage, 1).name
    for content in (b"one" * 100, b"two" * 100):
        (storage / name).write_bytes(content)
        make_old(storage / name)
        await repair_directory(storage, (await verify_directory(storage, decode=False)).findings)
    damaged = storage / DAMAGED_DIRECTORY
    assert {path.name: path.read_bytes()[:3] for path in damaged.iterdir()} == {name: b"one", f"{name}.2": b"two"}


async def test_after_a_repair_a_recorder_serves_the_whole_recording(stores: Stores) -> None:
    times = capture_times(7)
    await record(stores.storage, times)  # as after a kill: nothing is closed
    report = await verify_directory(stores.storage)
    assert {problem for _, problem in problems(report)} == {Problem.NOT_CLOSED, Problem.INDEX_GONE}
    await repair_directory(stores.storage, report.findings)
    async with VideoStore.open(stores.storage) as store:
        clip = await store.fetch(times[3], times[60])
    assert check_clip(read_clip(clip.data), times, times[3], times[60]).flawless
    assert times[0] + 6 * US < times[-1]


@pytest.mark.parametrize("damage", [overwrite_file, add_unreadable_open])
async def test_a_repair_of_the_index_alone_changes_no_other_file(storage: Path, damage: Damage) -> None:
    damage(storage)
    delete_index(storage)
    before = sorted(path.name for path in storage.iterdir())
    report = await verify_directory(storage, decode=False)
    await repair_directory(storage, [one for one in report.findings if one.problem is Problem.INDEX_GONE])
    assert sorted(path.name for path in storage.iterdir() if not path.name.startswith(FILE_NAME)) == before
    assert [problem for _, problem in problems(await verify_directory(storage, decode=False))] == [Problem.UNREADABLE]


# What is not repaired


async def test_a_segment_with_damaged_images_is_reported_and_not_changed(storage: Path) -> None:
    path = segment(storage, 1)
    fragment = read_fragments(path).fragments[0]
    with path.open("r+b") as file:
        file.seek(fragment.end_byte - 30_000)
        file.write(random.Random(1).randbytes(20_000))  # several images: some garbage decodes without an error
    before = path.read_bytes()
    report = await verify_directory(storage)
    assert problems(report) == [(path.name, Problem.DAMAGED), (path.name, Problem.NOT_DECODED)]
    await repair_directory(storage, report.findings)
    assert path.read_bytes() == before
    assert problems(await verify_directory(storage, decode=False)) == [(path.name, Problem.DAMAGED)]


async def test_a_segment_whose_images_are_damaged_inside_is_reported_and_not_changed(storage: Path) -> None:
    path = segment(storage, 1)
    damage_frame(path, 0, 4, SLICE)
    before = path.read_bytes()
    report = await verify_directory(storage)
    assert problems(report) == [(path.name, Problem.NOT_DECODED)]
    await repair_directory(storage, report.findings)
    assert path.read_bytes() == before
    assert problems(await verify_directory(storage, decode=False)) == []


async def test_a_segment_without_its_end_is_reported_and_kept(storage: Path) -> None:
    path = segment(storage, 1)
    os.truncate(path, path.stat().st_size * 8 // 10)
    report = await verify_directory(storage)
    assert (path.name, Problem.CUT_OFF) in problems(report)
    await repair_directory(storage, report.findings)
    assert path.exists() and not (storage / DAMAGED_DIRECTORY).exists()
    assert problems(await verify_directory(storage, decode=False)) == [(path.name, Problem.CUT_OFF)]


async def test_repairing_an_open_segment_with_bad_bytes_in_the_middle_keeps_every_byte(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    await record(storage, capture_times(20), segment_seconds=30)
    (path,) = storage.glob("*.open")
    overwrite_header(path, 4)
    before, readable = path.read_bytes(), read_fragments(path).times_us
    report = await verify_directory(storage, decode=False)
    assert (path.name, Problem.NOT_CLOSED) in problems(report)
    await repair_directory(storage, report.findings)
    closed = segment(storage, 0)
    assert closed.read_bytes() == before
    assert problems(await verify_directory(storage, decode=False)) == [(closed.name, Problem.DAMAGED)]
    async with VideoStore.open(storage) as store:
        clip = await store.fetch(readable[0], readable[-1] + 10 * US)
    assert check_clip(read_clip(clip.data), readable, readable[0], readable[-1] + 10 * US).flawless


async def test_a_closed_segment_that_is_damaged_in_the_middle_is_reported_and_kept(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    await record(storage, capture_times(8), segment_seconds=30)
    await take_over(storage)
    path = segment(storage, 0)
    overwrite_header(path, 3)
    before = path.read_bytes()
    for _ in range(2):
        report = await verify_directory(storage, decode=False)
        assert problems(report) == [(path.name, Problem.DAMAGED)]
        await repair_directory(storage, report.findings)
    assert path.read_bytes() == before


# What cannot be read at the moment, or may still be being written


def without_privileges(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command so that file permissions apply to it, even if the tests run as root."""
    command = [sys.executable, "-m", "videostore", *map(str, arguments)]
    if os.geteuid() == 0:
        dropped = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


async def test_files_without_read_permission_are_reported_and_not_moved(storage: Path) -> None:
    change_index(storage, "DELETE FROM files WHERE file_name = ?", segment(storage, 3).name)  # this can be repaired
    opened = storage / open_name(1_725_000_000_123_457, 7)
    shutil.copy(segment(storage, 0), opened)
    locked = [segment(storage, 0), segment(storage, 1), opened]
    before = {path: path.read_bytes() for path in locked}
    for path in locked:
        make_old(path)
        path.chmod(0)
    done = without_privileges("verify", "--repair", "--quick", "--storage", storage)
    problem = "cannot be read at the moment, so its content is unknown (Permission denied"
    assert done.returncode == 3, done.stderr
    assert all(f"{path.name}: {problem}" in done.stdout for path in locked), done.stdout
    assert done.stdout.count("(Permission denied; from 2024-08-30_06-40-0") == 2  # those that the index knows
    assert f"repaired: {segment(storage, 3).name}" in done.stdout and "1 repaired, 3 left;" in done.stdout
    for path in locked:
        path.chmod(0o600)
    assert {path: path.read_bytes() for path in locked} == before
    assert not (storage / DAMAGED_DIRECTORY).exists()


async def test_an_error_of_the_disk_is_not_reported_as_damage(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libav takes an error while reading for the end of the file, and reports invalid data."""
    overwrite_file(storage)
    (finding,) = (await verify_directory(storage, decode=False)).findings
    assert finding.problem is Problem.UNREADABLE

    def failing(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("videostore.storage.segment_check.read_through", failing)
    report = await verify_directory(storage, decode=False)
    assert [(one.problem, one.detail) for one in report.findings] == [(Problem.NOT_READ, "Input/output error")]
    await repair_directory(storage, [finding])
    assert (storage / finding.file_name).exists()


@pytest.mark.parametrize("name", ["1725000100.mp4", open_name(1_725_000_000_123_457, 7)])
async def test_an_unreadable_file_is_not_moved_while_a_process_may_still_be_writing_it(
    storage: Path, name: str
) -> None:
    path = storage / name
    path.write_bytes(b"\0\0\0\x18ftyp" + b"half-written")
    make_old(path, minutes=29)
    report = await verify_directory(storage, decode=False)
    assert problems(report) == [(name, Problem.BEING_WRITTEN)]
    await repair_directory(storage, report.findings)
    await repair_directory(storage, [Finding(name, Problem.UNREADABLE)])
    assert path.exists()
    make_old(path)
    report = await verify_directory(storage, decode=False)
    assert problems(report) == [(name, Problem.UNREADABLE)]
    await repair_directory(storage, report.findings)
    assert [one.name for one in (storage / DAMAGED_DIRECTORY).iterdir()] == [name]


async def test_a_file_that_has_become_readable_since_it_was_verified_is_not_moved(storage: Path) -> None:
    path = segment(storage, 1)
    whole = path.read_bytes()
    path.write_bytes(b"")
    make_old(path)
    report = await verify_directory(storage, decode=False)
    assert problems(report) == [(path.name, Problem.UNREADABLE)]
    path.write_bytes(whole)
    make_old(path)
    await repair_directory(storage, report.findings)
    assert path.read_bytes() == whole
    assert problems(await verify_directory(storage, decode=False)) == []


async def test_a_directory_that_is_missing_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(videostore.VideoStoreError) as refused:
        await repair_directory(tmp_path / "none", [])
    assert refused.value.code == "storage-missing" and not os.listdir(tmp_path)


async def test_with_a_program_that_is_no_ffmpeg_nothing_is_called_damaged(storage: Path) -> None:
    with pytest.raises(videostore.FFmpegError) as refused:
        await verify_directory(storage, binary=shutil.which("true"))
    assert refused.value.code == "ffmpeg-is-not"


async def test_a_repair_whose_index_cannot_be_kept_is_not_called_one(storage: Path) -> None:
    """A directory is where the file of the index should be: the rows would be lost with this process."""
    delete_index(storage)
    report = await verify_directory(storage, decode=False)
    (storage / FILE_NAME).mkdir()
    with pytest.raises(VideoStoreError) as refused:
        await repair_directory(storage, report.findings)
    assert refused.value.code == "index-not-repaired"
