from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import videostore
from tests.support.damage import delete_row, overwrite_file, problems, segment
from tests.support.open_gops import TIMES, OpenGops
from tests.support.recording import Pulse, Stores, until, write_foreign
from tests.support.storage import OtherPath
from videostore import repair_directory, verify_directory
from videostore.base.errors import NothingStoredError, VideoStoreError
from videostore.base.files import AnyPath
from videostore.media.fmp4 import read_fragments
from videostore.media.segment_names import open_name
from videostore.storage.findings import Problem, VerificationReport
from videostore.storage.index import FILE_NAME


async def test_in_an_intact_directory_nothing_is_wrong_and_every_frame_decodes(storage: Path, times: list[int]) -> None:
    seen: list[tuple[int, int]] = []
    report = await verify_directory(storage, on_file=lambda done, of: seen.append((done, of)))
    assert report == VerificationReport(4, len(times), ())
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


async def test_verifying_changes_nothing(storage: Path) -> None:
    overwrite_file(storage)
    delete_row(storage)
    before = {path.name: (path.stat(), path.read_bytes()) for path in storage.iterdir()}
    assert len((await verify_directory(storage)).findings) == 1  # the file that cannot be read hides its row
    after = {path.name: (path.stat(), path.read_bytes()) for path in storage.iterdir()}
    assert {n: (s.st_mtime_ns, s.st_nlink, b) for n, (s, b) in after.items()} == {
        n: (s.st_mtime_ns, s.st_nlink, b) for n, (s, b) in before.items()
    }


async def test_files_of_other_programs_are_ignored_and_those_of_the_go_module_are_verified(tmp_path: Path) -> None:
    await write_foreign(tmp_path / "1725634833.mp4")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "1.mp4").write_text("x")
    report = await verify_directory(tmp_path)
    assert problems(report) == [(FILE_NAME, Problem.INDEX_GONE)]
    assert (report.segments, report.decoded_frames) == (1, 30)


async def test_a_directory_without_a_recording_is_refused_and_not_changed(tmp_path: Path) -> None:
    with pytest.raises(NothingStoredError, match="There is no recording in") as raised:
        await verify_directory(tmp_path)
    assert (raised.value.code, raised.value.path) == ("no-recording", tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(VideoStoreError, match="There is no storage directory"):
        await verify_directory(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", [str, os.fsencode, Path, OtherPath])
async def test_verifying_takes_every_kind_of_path(
    storage: Path, times: list[int], binary: str, kind: Callable[[str | Path], AnyPath]
) -> None:
    report = await videostore.verify_directory(kind(storage), binary=kind(binary))
    assert report == VerificationReport(4, len(times), ())
    with pytest.raises(VideoStoreError) as raised:
        await videostore.verify_directory(kind(storage / "nowhere"))
    assert (raised.value.code, raised.value.path) == ("storage-missing", storage / "nowhere")


# While a recorder runs


async def test_while_a_recorder_runs_nothing_is_wrong_and_a_repair_is_refused(stores: Stores) -> None:
    pulse = Pulse(0.05)
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: store.health().segments >= 2)
    report = await verify_directory(stores.storage)
    assert report.findings == () and report.segments >= 2
    with pytest.raises(VideoStoreError, match="used by the recorder"):
        await repair_directory(stores.storage, report.findings)
    recorder = store.health().recorder
    assert recorder is not None and recorder.recording and recorder.ffmpeg_restarts == 0


async def test_while_a_recorder_runs_nothing_is_wrong_whichever_path_is_given(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(stores.storage)
    store = await stores.open(Pulse(0.05), segment_seconds=30)
    await until(lambda: list(stores.storage.glob("*.open")) and store.health().recorder is not None)
    monkeypatch.chdir(stores.storage.parent)
    for path in (tmp_path / "link", Path(stores.storage.name)):
        report = await verify_directory(path, decode=False)
        assert report.findings == ()


async def test_an_open_segment_that_is_renamed_or_grows_meanwhile_is_not_reported(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that writes it may not be visible: it may run in another container or as another user."""
    content = segment(storage, 3).read_bytes()
    renamed, growing = (storage / open_name(1_725_000_000_123_457, number) for number in (7, 8))
    for path in (renamed, growing):
        path.write_bytes(content)

    async def settle(_: float) -> None:
        renamed.unlink(missing_ok=True)
        with growing.open("ab") as file:
            file.write(b"\0")

    monkeypatch.setattr("videostore.storage.verify.asyncio.sleep", settle)
    assert problems(await verify_directory(storage, decode=False)) == []


# Open GOPs

BEGINNING = 9
"""Bytes of a frame that stay as they are: what follows tells which frames it needs."""


async def test_the_frames_before_the_first_one_of_a_file_are_decoded_behind_the_file_before(
    open_gops: OpenGops, tmp_path: Path
) -> None:
    assert await verify_directory(open_gops.directory) == VerificationReport(3, len(TIMES), ())
    for kept in ((0, 1, 2), (1, 2), (0, 2)):
        copy = open_gops.copy(tmp_path / f"kept{len(kept)}{kept[0]}", *kept)
        path = sorted(copy.glob("*.mp4"))[-2 if 1 in kept else -1]
        damage_leading_frames(path)
        report = await verify_directory(copy)
        found = [(path.name, Problem.NOT_DECODED)] if 0 in kept and 1 in kept else []  # else they are no frames
        assert problems(report) == [(FILE_NAME, Problem.INDEX_GONE), *found]


def damage_leading_frames(path: Path) -> None:
    """Change what a file holds of frames that are shown before its first one, and no length of a unit."""
    data, content = bytearray(path.read_bytes()), read_fragments(path)
    for fragment in content.fragments:
        at = fragment.body_byte
        for time_us, size in zip(fragment.times_us, fragment.sizes, strict=True):
            if time_us < content.start_us:
                data[at + BEGINNING : at + size] = b"\xff" * (size - BEGINNING)
            at += size
    path.write_bytes(data)
