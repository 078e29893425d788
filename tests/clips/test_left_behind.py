from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import START_US, US, Stores, until
from videostore.clips import reservations
from videostore.clips.clip_names import clip_stem
from videostore.clips.uploads import Uploads
from videostore.storage.index import FILE_NAME
from videostore.storage.save_record import SaveJob


def test_partial_clips_of_earlier_processes_are_removed_and_complete_ones_stay(tmp_path: Path) -> None:
    upload, storage = tmp_path / "upload", tmp_path / "storage"
    tagged = upload / "tag=a" / "tag=b"
    tagged.mkdir(parents=True)
    storage.mkdir()
    stem = clip_stem("cam", START_US, "x\ny")
    for directory in (upload, tagged):
        Uploads(upload, "cam", storage).progress_path(directory / f"{stem}.mp4").write_bytes(b"half")
        (directory / f"{stem}.mp4").write_bytes(b"whole")
    foreign = [
        Uploads(upload, "cam_2", storage).progress_path(upload / f"{clip_stem('cam_2', START_US, '')}.mp4"),
        upload / "cam_capture.prog",  # the data manager's
    ]
    for path in foreign:
        path.write_bytes(b"half")
    Uploads(upload, "cam", storage).sweep()
    left = {path for path in upload.rglob("*") if path.is_file()}
    assert left == {*foreign, upload / f"{stem}.mp4", tagged / f"{stem}.mp4"}


def test_a_directory_that_cannot_be_read_does_not_keep_partial_clips_from_being_removed(tmp_path: Path) -> None:
    upload, storage = tmp_path / "upload", tmp_path / "storage"
    storage.mkdir()
    upload.mkdir()
    left = Uploads(upload, "cam", storage).progress_path(upload / f"{clip_stem('cam', START_US, '')}.mp4")
    left.write_bytes(b"half")
    deep = os.open(upload, os.O_RDONLY)
    for _ in range(20):  # a path that is too long for the system
        os.mkdir("d" * 250, dir_fd=deep)
        above, deep = deep, os.open("d" * 250, os.O_RDONLY, dir_fd=deep)
        os.close(above)
    os.close(deep)
    Uploads(upload, "cam", storage).sweep()
    assert not left.exists()


def test_partial_clips_of_other_recorders_and_readers_are_removed_when_they_are_old(tmp_path: Path) -> None:
    storage, path = tmp_path / "storage", tmp_path / f"{clip_stem('cam', START_US, '')}.mp4"
    storage.mkdir()
    others = [Uploads(tmp_path, "cam", one).progress_path(path) for one in (None, tmp_path / "other")]
    others.append(path.with_name(f"{path.name}.01234567.prog"))  # version 0.1.0
    (tmp_path / "same").mkdir()
    before = Uploads(tmp_path, "cam", tmp_path / "same")
    others.append(before.progress_path(path))
    (tmp_path / "same").rename(tmp_path / "moved")
    (tmp_path / "same").mkdir()  # as another container has it under this path
    now_s = time.time()
    for one in others:
        one.write_bytes(b"half")
    for age_s, left in ((601, others), (7200, [])):
        for one in others:
            os.utime(one, (now_s, now_s - age_s))
        for own in (storage, tmp_path / "same"):
            Uploads(tmp_path, "cam", own).sweep()
        assert {one for one in tmp_path.iterdir() if one.is_file()} == set(left)


async def test_names_that_an_ended_process_reserved_are_free_at_the_next_start(tmp_path: Path) -> None:
    own, other, reader = (Uploads(tmp_path, "cam", one) for one in (tmp_path / "a", tmp_path / "b", None))
    paths = [tmp_path / f"{clip_stem('cam', START_US, name)}.mp4" for name in "abcd"]
    for uploads, path in zip((own, own, other, reader), paths, strict=True):
        uploads.claim(path, "save", resumed=False)
    own.sweep({paths[0].name: False, paths[1].name: True})
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{path.name}.reserved.prog" for path in paths[1:]]
    own.sweep()
    assert reservations.find(tmp_path, paths[1].name) is None
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    ended = reservations.Reservation("save", f"reader {process.pid}")
    reservations.reserve(tmp_path, paths[0].name, ended)
    own.sweep()
    assert reservations.find(tmp_path, paths[0].name) is None and reservations.find(tmp_path, paths[3].name)


def test_saves_that_the_index_has_lost_are_told_and_keep_their_names(tmp_path: Path) -> None:
    own, other, reader = (Uploads(tmp_path, "cam", one) for one in (tmp_path / "a", tmp_path / "b", None))
    saves = []
    for number, uploads in enumerate((own, own, other, reader)):
        name = f"{clip_stem('cam', START_US, str(number))}.mp4"
        saves.append(SaveJob(name, "tag=a", START_US, START_US + US, str(number), START_US + number))
        uploads.claim(tmp_path / name, saves[-1].identity, resumed=False)
    assert own.sweep({saves[0].file_name: True}) == [saves[1]]
    assert len(list(tmp_path.iterdir())) == 4
    assert own.sweep({saves[0].file_name: False, saves[1].file_name: False}) == []
    assert sorted(tmp_path.iterdir()) == [tmp_path / f"{save.file_name}.reserved.prog" for save in saves[2:]]


@pytest.mark.parametrize("container", ["mp4", "fmp4"])
async def test_pending_saves_survive_an_index_that_is_lost_between_two_processes(
    stores: Stores, recording: Path, times: list[int], stuck_ffmpeg: Path, container: str
) -> None:
    store = await stores.over(recording, binary=str(stuck_ffmpeg))
    metadata = "why\n" + "ä" * 8000
    clip = await store.save(times[3], times[9], tags=["a"], metadata=metadata, wait=False, container=container)
    await stores.close()
    for path in stores.storage.glob(FILE_NAME + "*"):
        path.unlink()
    store = await stores.open()
    await until(lambda: store.health().pending_saves == 0)
    save = await store.save_status(clip.file_name)
    assert (save.status.value, save.directory, save.container) == ("done", "tag=a", container)
    assert check_clip(read_clip(clip.path), times, times[3], times[9]).flawless
    assert [path.name for path in stores.upload.rglob("*") if path.is_file()] == [clip.file_name]
