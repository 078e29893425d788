from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import LOGGER, START_US, Stores, until
from videostore.base.errors import RequestError, VideoStoreError
from videostore.clips import reservations
from videostore.clips.clip_names import clip_stem, tag_directory
from videostore.clips.uploads import Uploads, publish


async def test_too_many_tags_are_refused(tmp_path: Path) -> None:
    tags = tag_directory([f"{n:0200}" for n in range(30)])
    with pytest.raises(RequestError, match="too long together"):
        async with Uploads(tmp_path, "cam").reserve_path(START_US, "", tags):
            pass


async def test_every_reserved_name_is_unique_whatever_the_tags_are(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, "cam")
    stem = clip_stem("cam", START_US, "x")
    (tmp_path / f"{stem}.mp4").write_bytes(b"old")
    async with uploads.reserve_path(START_US, "x", Path()) as one, uploads.reserve_path(START_US, "x", Path()) as two:
        assert [one.name, two.name] == [f"{stem}-2.mp4", f"{stem}-3.mp4"]
        async with uploads.reserve_path(START_US, "x", Path("tag=x")) as three:
            assert three == tmp_path / "tag=x" / f"{stem}.mp4"
            async with uploads.reserve_path(START_US, "x", Path("tag=y")) as four:
                assert four == tmp_path / "tag=y" / f"{stem}-4.mp4"
    async with uploads.reserve_path(START_US, "x", Path()) as again:
        assert again.name == f"{stem}-2.mp4"


def test_a_clip_has_a_name_that_is_not_uploaded_until_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    uploads = Uploads(tmp_path, "cam")
    one, two = uploads.progress_path(path), uploads.progress_path(path)
    assert one != two
    assert one.suffix == ".prog"
    one.write_bytes(b"whole")
    publish(one, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("below", ["", "clips"])
def test_an_upload_path_that_is_a_link_to_a_disk_that_is_not_mounted_yet_is_no_wrong_path(
    tmp_path: Path, below: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "clips")
    uploads = Uploads(tmp_path / "link" / below, "cam")
    uploads.make_path(LOGGER)
    with pytest.raises(FileExistsError):
        uploads.make_directory(uploads.directory)
    (tmp_path / "disk" / "clips").mkdir(parents=True)
    uploads.make_directory(uploads.directory)
    assert (tmp_path / "disk" / "clips" / below).is_dir()


@pytest.mark.parametrize("found", ["a file", "a link to itself"])
def test_a_wrong_upload_path_is_refused(tmp_path: Path, found: str) -> None:
    path = tmp_path / "upload"
    path.write_text("") if found == "a file" else path.symlink_to(path)
    with pytest.raises(VideoStoreError) as refused:
        Uploads(path / "clips", "cam").make_path(LOGGER)
    assert refused.value.code == "upload-path-unusable"


def test_an_upload_path_whose_file_system_has_died_is_no_wrong_path(tmp_path: Path) -> None:
    upload, image = tmp_path / "upload", tmp_path / "image"
    upload.mkdir()
    image.touch()
    os.truncate(image, 4 << 20)
    try:
        subprocess.run(["mkfs.vfat", image], check=True, capture_output=True)
        server = subprocess.Popen(["fusefat", "-f", "-o", "rw+", image, upload], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only with fusefat")
    while server.poll() is None and not upload.is_mount():
        time.sleep(0.01)
    server.kill()
    if server.wait() != -signal.SIGKILL:
        pytest.skip("only root can mount")
    try:
        with pytest.raises(OSError, match="not connected"):
            (upload / "x").mkdir()
        Uploads(upload / "clips", "cam").make_path(LOGGER)
        Uploads(upload / "clips", "cam").sweep()
    finally:
        subprocess.run(["umount", "--lazy", upload], check=True)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_overwritten_only_on_request(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "clip.mp4"
    path.write_text("evidence")
    progress = Uploads(tmp_path, "cam").progress_path(path)
    progress.write_text("whole")
    with pytest.raises(RequestError, match=r"The file .* exists\."):
        publish(progress, path, overwrite=False)
    assert path.read_text() == "evidence"
    path.unlink()
    publish(progress, path, overwrite=False)
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        publish(progress, tmp_path / "other.mp4", overwrite=False)
    assert list(tmp_path.iterdir()) == [path]


async def test_a_name_that_is_reserved_for_a_save_is_that_of_no_other_process(tmp_path: Path) -> None:
    """Two processes share an upload path; each has objects of its own."""
    one, other = (Uploads(tmp_path, "cam", tmp_path / name) for name in ("one", "other"))
    async with one.reserve_path(START_US, "x", Path(), "first") as first:
        pass
    assert [path.name for path in tmp_path.iterdir()] == [f"{first.name}.reserved.prog"]
    async with (
        other.reserve_path(START_US, "x", Path()) as second,
        other.reserve_path(START_US, "x", Path(), "s") as third,
    ):
        assert len({first.name, second.name, third.name}) == 3
    with pytest.raises(VideoStoreError) as taken:
        other.claim(first, "second", resumed=False)
    assert taken.value.code == "clip-name-taken"
    assert one.claim(first, "first", resumed=True) is False
    first.write_bytes(b"whole")
    assert one.claim(first, "first", resumed=True) is True
    one.release(first.name)
    assert [path.name for path in tmp_path.glob(f"{first.name}*")] == [first.name]


async def test_a_name_that_could_not_be_reserved_is_claimed_later_unless_it_is_taken_then(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "upload", "cam", tmp_path)
    async with uploads.reserve_path(START_US, "x", Path(), "mine") as path:  # nothing can be written there yet
        pass
    assert not path.parent.exists()
    assert uploads.claim(path, "mine", resumed=False) is False
    uploads.release(path.name)
    path.write_bytes(b"of another program")
    with pytest.raises(VideoStoreError) as taken:
        uploads.claim(path, "mine", resumed=False)
    assert taken.value.code == "clip-name-taken"
    assert path.read_bytes() == b"of another program" and list(path.parent.iterdir()) == [path]
    assert uploads.claim(path, "mine", resumed=True) is True


async def test_a_save_that_is_not_accepted_gives_its_name_back(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, "cam", tmp_path / "storage")
    with pytest.raises(RuntimeError):
        async with uploads.reserve_path(START_US, "x", Path(), "mine"):
            raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("when", ["before", "afterwards"])
async def test_a_save_that_is_cancelled_while_its_name_is_reserved_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    reserving, go_on, reserve = threading.Event(), threading.Event(), reservations.reserve

    def slowly(directory: Path, name: str, reservation: reservations.Reservation) -> bool:
        taken = when == "afterwards" and reserve(directory, name, reservation)
        reserving.set()
        go_on.wait(150)
        return taken or reserve(directory, name, reservation)

    async def hold() -> None:
        async with uploads.reserve_path(START_US, "", Path(), "save"):
            raise AssertionError("it was cancelled")

    monkeypatch.setattr(reservations, "reserve", slowly)
    uploads = Uploads(tmp_path, "cam", None)
    task = asyncio.create_task(hold())
    await until(reserving.is_set)
    task.cancel()
    await asyncio.wait([task])
    go_on.set()
    await asyncio.to_thread(uploads._threads.shutdown)
    assert not list(tmp_path.iterdir())


def test_a_clip_that_is_published_never_overwrites_what_came_meanwhile(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, "cam", tmp_path / "storage")
    path = tmp_path / "clip.mp4"
    path.write_text("of another process")
    Uploads(tmp_path, "cam", tmp_path / "other").claim(tmp_path / "clip-2.mp4", "other", resumed=False)
    progress = uploads.progress_path(path)
    progress.write_text("whole")
    with pytest.raises(VideoStoreError) as taken:
        uploads.publish_claimed(progress, path)
    assert taken.value.code == "clip-name-taken" and progress.read_text() == "whole"
    assert uploads.publish_free(progress, path) == tmp_path / "clip-3.mp4"
    assert path.read_text() == "of another process" and (tmp_path / "clip-3.mp4").read_text() == "whole"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["clip-2.mp4.reserved.prog", "clip-3.mp4", "clip.mp4"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_tag_that_is_a_link_leads_no_clip_out_of_the_upload_path(
    stores: Stores, recording: Path, times: list[int], tmp_path: Path, asynchronous: bool
) -> None:
    store = await stores.over(recording)
    outside = tmp_path / "outside"
    outside.mkdir()
    (stores.upload / "tag=a").symlink_to(outside)
    (stores.upload / "tag=b").mkdir(parents=True)
    (stores.upload / "tag=b" / "tag=c").symlink_to(outside)
    for tags in (["a"], ["b", "c"], ["a", "x"]):
        with pytest.raises(RequestError, match="is a symbolic link") as error:
            await store.save(times[3], times[9], tags=tags, wait=not asynchronous)
        assert error.value.code == "tag-is-link"
    assert not list(outside.iterdir())
    with pytest.raises(RequestError):  # the link came after the request
        Uploads(stores.upload, "cam").make_directory(stores.upload / "tag=a" / "tag=x")
    assert not list(outside.iterdir())


async def test_processes_that_save_from_the_same_second_at_once_write_a_clip_each(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    """The upload path does not exist before."""
    await (await stores.over(recording)).close()
    upload = stores.directory / "clips"
    program = (
        "import asyncio, sys\n"
        "from videostore import VideoStore\n"
        "async def main(directory, upload, start, ends):\n"
        "    async with VideoStore.open(directory, name='cam', upload_path=upload) as store:\n"
        "        for end in ends:\n"
        "            clip = await store.save(int(start), int(end))\n"
        "            print(clip.path, end)\n"
        "asyncio.run(main(*sys.argv[1:4], sys.argv[4:]))\n"
    )
    ends = [[str(times[20 + 2 * one + number]) for one in range(4)] for number in range(2)]
    arguments = [sys.executable, "-c", program, str(stores.storage), str(upload), str(times[3])]
    processes = [await asyncio.create_subprocess_exec(*arguments, *one, stdout=-1) for one in ends]
    answers = [(await one.communicate())[0].decode().split() for one in processes]
    saved = {Path(answer[at]): int(answer[at + 1]) for answer in answers for at in range(0, len(answer), 2)}
    assert len(saved) == 8 and set(saved) == set(upload.iterdir())
    for path, to_us in saved.items():
        assert check_clip(read_clip(path), times, times[3], to_us).flawless


@pytest.mark.parametrize("named", [False, True])
async def test_a_save_that_is_cancelled_while_its_clip_gets_its_name_is_told_or_there_is_no_clip(
    tmp_path: Path, named: bool
) -> None:
    uploads, path = Uploads(tmp_path, "cam"), tmp_path / "clip.mp4"
    loop, reached, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def publish_slowly(progress: Path, path: Path) -> Path:
        if not named:
            loop.call_soon_threadsafe(reached.set)
            go_on.wait(60)
        publish(progress, path, overwrite=False)
        loop.call_soon_threadsafe(reached.set)
        return path

    progress = uploads.progress_path(path)
    progress.write_bytes(b"whole")
    publishing = asyncio.create_task(uploads.publish(publish_slowly, progress, path))
    await reached.wait()
    publishing.cancel()
    if named:
        assert await publishing == path
    else:
        with pytest.raises(asyncio.CancelledError):
            await publishing
    go_on.set()
    uploads.close()
    await until(lambda: not any(thread.name.startswith("videostore upload") for thread in threading.enumerate()))
    assert [one.name for one in tmp_path.iterdir()] == (["clip.mp4"] if named else [])


async def test_a_save_that_is_cancelled_while_its_disk_is_slow_to_note_the_name_of_its_clip_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, path = Uploads(tmp_path, "cam"), tmp_path / "clip.mp4"
    loop, reached, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def sync_slowly(directory: Path) -> None:
        loop.call_soon_threadsafe(reached.set)
        go_on.wait(60)

    monkeypatch.setattr("videostore.clips.uploads.sync_directory", sync_slowly)
    progress = uploads.progress_path(path)
    progress.write_bytes(b"whole")
    publishing = asyncio.create_task(uploads.publish(uploads.publish_free, progress, path))
    await reached.wait()
    publishing.cancel()
    assert await publishing == path
    go_on.set()
    uploads.close()


async def test_what_no_thread_has_begun_when_the_store_closes_is_told_as_closed(tmp_path: Path) -> None:
    """Its caller was not cancelled, so it must not look so."""
    uploads, free = Uploads(tmp_path, "cam"), threading.Event()
    begun: list[int] = []

    def hang(number: int) -> bool:
        begun.append(number)
        return free.wait()

    busy = [asyncio.create_task(uploads.run(hang, number)) for number in range(4)]
    await until(lambda: len(begun) == 4)
    waiting = asyncio.create_task(uploads.run(os.listdir, tmp_path))
    await asyncio.sleep(0)
    uploads.close()
    with pytest.raises(VideoStoreError) as told:
        await waiting
    free.set()
    assert told.value.code == "closed" and await asyncio.gather(*busy) == [True] * 4
    with pytest.raises(VideoStoreError) as told:  # nor may what comes later
        await uploads.run(os.listdir, tmp_path)
    assert told.value.code == "closed"
