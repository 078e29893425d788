"""Queued saves: they survive a restart, hold the video that they need, and their outcome can be asked for."""

from __future__ import annotations

import asyncio
import functools
import shutil
import time
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import START_US, US, Stores, until
from videostore.base.errors import FFmpegError, NoRoomError, UnknownSaveError, VideoStoreError
from videostore.base.ranges import Range
from videostore.storage.index import FILE_NAME
from videostore.storage.save_record import SaveStatus
from videostore.store.store import VideoStore


async def status_of(store: VideoStore, file_name: str) -> tuple[str, str]:
    save = await store.save_status(file_name)
    return save.status.value, save.reason


async def ended(store: VideoStore) -> None:
    await until(lambda: store.health().pending_saves == 0)


async def test_a_queued_save_is_pending_and_then_done(stores: Stores, recording: Path, times: list[int]) -> None:
    store = await stores.over(recording)
    clip = await store.save(times[3], times[30], tags=["a"], wait=False)
    assert (await status_of(store, clip.file_name))[0] in ("pending", "done")
    await ended(store)
    assert await status_of(store, clip.file_name) == ("done", "")
    assert check_clip(read_clip(clip.path), times, times[3], times[30]).flawless


async def test_a_save_that_was_waited_for_is_done(stores: Stores, recording: Path, times: list[int]) -> None:
    store = await stores.over(recording)
    clip = await store.save(times[0] - 10 * US, times[30])
    save = await store.save_status(clip.file_name)
    assert save.status is SaveStatus.DONE and save.ranges == clip.ranges is not None


async def test_the_state_of_an_unknown_save_is_refused(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    with pytest.raises(UnknownSaveError, match=r"'unknown\.mp4'"):
        await store.save_status("unknown.mp4")


async def test_a_queued_save_survives_the_end_of_its_process(
    stores: Stores, recording: Path, times: list[int], stuck_ffmpeg: Path
) -> None:
    store = await stores.over(recording, binary=str(stuck_ffmpeg))
    clips = [await store.save(times[3], times[n], metadata=str(n), tags=["b", "a"], wait=False) for n in (20, 30, 40)]
    await stores.close()
    left = [path.name for path in stores.upload.rglob("*") if path.is_file()]
    assert sorted(left) == sorted(f"{clip.file_name}.reserved.prog" for clip in clips)
    store = await stores.open()
    for clip in clips:
        assert (await status_of(store, clip.file_name))[0] in ("pending", "done")
    await ended(store)
    for clip, n in zip(clips, (20, 30, 40), strict=True):
        assert await status_of(store, clip.file_name) == ("done", "")
        assert clip.path.parent == stores.upload / "tag=a" / "tag=b"
        assert check_clip(read_clip(clip.path), times, times[3], times[n]).flawless


async def test_a_clip_that_exists_is_not_made_again(
    stores: Stores, recording: Path, times: list[int], stuck_ffmpeg: Path
) -> None:
    """The process ended after it wrote the clip, and before it stored the outcome."""
    store = await stores.over(recording, binary=str(stuck_ffmpeg))
    clip = await store.save(times[3], times[20], wait=False)
    await stores.close()
    clip.path.write_bytes(b"complete")
    store = await stores.open(binary=str(stuck_ffmpeg))
    await ended(store)
    assert await status_of(store, clip.file_name) == ("done", "")
    assert clip.path.read_bytes() == b"complete"


async def test_what_a_queued_save_needs_survives_a_quota_that_was_lowered_at_the_restart(
    stores: Stores, recording: Path, times: list[int], stuck_ffmpeg: Path
) -> None:
    store = await stores.over(recording, binary=str(stuck_ffmpeg))
    first, *others = sorted(path.name for path in stores.storage.glob("*.mp4"))
    clip = await store.save(times[0], times[9], wait=False)
    await stores.close()
    store = await stores.open(size_gb=1e-6, binary=str(stuck_ffmpeg))
    await until(lambda: not any((stores.storage / name).exists() for name in others))
    assert (stores.storage / first).exists()
    (stuck_ffmpeg.parent / "stuck").unlink()
    await until(lambda: not (stores.storage / first).exists())
    assert await status_of(store, clip.file_name) == ("done", "")
    assert check_clip(read_clip(clip.path), times, times[0], times[9]).flawless


async def test_a_save_of_what_is_not_stored_fails_with_its_reason(
    stores: Stores, recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await stores.over(recording)
    clip = await store.save(START_US - 60 * US, START_US - 50 * US, wait=False)
    await ended(store)
    status, reason = await status_of(store, clip.file_name)
    assert status == "failed" and "Nothing is stored in the range" in reason
    await until(lambda: store.health().failed_saves)
    (failed,) = store.health().failed_saves
    assert (failed.file_name, failed.reason) == (clip.file_name, reason)
    await stores.close()
    store = await stores.open()
    assert store.health().failed_saves == [failed]


async def test_a_save_that_fails_temporarily_is_tried_again(
    stores: Stores, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.clips.save_queue.SAVE_RETRIES_S", (0.5, 0.1, 0.1, 0.1, 0.1))
    store = await stores.over(recording)
    (stores.upload / "tag=a").write_bytes(b"a file in the way")
    clip = await store.save(times[3], times[20], tags=["a"], wait=False)
    await until(lambda: store._saves._pending[clip.file_name].reason)
    _, reason = await status_of(store, clip.file_name)
    assert "cannot be written to the upload path" in reason and "Trying again in" in reason
    (stores.upload / "tag=a").unlink()
    await ended(store)
    assert await status_of(store, clip.file_name) == ("done", "")
    assert check_clip(read_clip(clip.path), times, times[3], times[20]).flawless


async def test_a_save_that_fails_every_time_has_failed(
    stores: Stores, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.clips.save_queue.SAVE_RETRIES_S", (0.01, 0.01))
    store = await stores.over(recording, binary="/nowhere/ffmpeg")
    clip = await store.save(times[3], times[20], wait=False)
    await ended(store)
    status, reason = await status_of(store, clip.file_name)
    assert status == "failed" and "could not be made" in reason
    with pytest.raises(FFmpegError):
        await store.save(times[3], times[20])


async def test_pending_saves_of_the_same_range_get_unique_names_whatever_their_tags_are(
    stores: Stores, recording: Path, times: list[int], stuck_ffmpeg: Path
) -> None:
    store = await stores.over(recording, binary=str(stuck_ffmpeg))
    names = [(await store.save(times[3], times[9], tags=[tag], wait=False)).file_name for tag in "abc"]
    assert len(set(names)) == 3
    await stores.close()
    store = await stores.open(binary=str(stuck_ffmpeg))
    names.append((await store.save(times[3], times[9], tags=["d"], wait=False)).file_name)
    assert len(set(names)) == 4


async def test_queued_saves_survive_an_index_that_is_lost_while_they_wait(
    stores: Stores, recording: Path, times: list[int], stuck_ffmpeg: Path
) -> None:
    store = await stores.over(recording, binary=str(stuck_ffmpeg))
    clip = await store.save(times[3], times[9], wait=False)
    for path in stores.storage.glob(FILE_NAME + "*"):
        path.unlink()
    await until((stores.storage / FILE_NAME).exists)
    await asyncio.sleep(0.2)
    await stores.close()
    store = await stores.open()
    await ended(store)
    assert await status_of(store, clip.file_name) == ("done", "")
    assert clip.path.exists()


async def test_a_save_for_which_the_disk_has_no_room_is_refused_before_any_work(
    stores: Stores, recording: Path, times: list[int], small_disk: Path, tmp_path: Path
) -> None:
    """The ffmpeg of this store cannot even be started."""
    stores.upload.mkdir(parents=True)
    shutil.copytree(recording, stores.storage)
    (small_disk / "other").write_bytes(bytes(round(11.7 * 1024 * 1024)))
    stores.upload.rmdir()
    stores.upload.symlink_to(small_disk)
    store = await stores.open(binary="/nowhere/ffmpeg")
    await until(lambda: store.health().segments == 4)
    for wait in (True, False):
        with pytest.raises(NoRoomError, match=r"about 0\.\d MiB, but the disk of .* has room for \d+ bytes"):
            await store.save(times[3], times[60], wait=wait)
    assert store.health().pending_saves == 0


@pytest.mark.parametrize("wait", [True, False])
async def test_the_metadata_of_a_save_is_forgotten_when_it_ends(
    stores: Stores, recording: Path, times: list[int], stuck_ffmpeg: Path, wait: bool
) -> None:
    store = await stores.over(recording, binary=str(stuck_ffmpeg))
    saving = asyncio.create_task(store.save(times[3], times[20], metadata="an event", wait=wait))
    await until(lambda: saving.done() or any(stores.storage.glob(".cuts/*")))
    if not wait:
        assert (await store.save_status((await saving).file_name)).metadata == "an event"
    (stuck_ffmpeg.parent / "stuck").unlink()
    clip = await saving
    await ended(store)
    assert (await store.save_status(clip.file_name)).metadata == ""
    assert read_clip(clip.path)


async def test_a_save_is_cancelled_between_two_attempts_and_not_while_it_is_written(
    stores: Stores, recording: Path, stuck_ffmpeg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.clips.save_queue.SAVE_RETRIES_S", (600.0,))
    store = await stores.over(recording, binary=str(stuck_ffmpeg))
    event = await store.mark("door", START_US + 2 * US, before_s=1, after_s=0.5, save=True, tags=["a"])
    assert event.file_name is not None
    asked = Range(event.from_us, event.to_us)
    await until(lambda: store._saves._carried[str(event.file_name)].is_writing)
    assert not await store._saves.cancel(event.file_name, asked)
    assert not await store._saves.cancel(event.file_name, Range(asked.from_us, asked.to_us + 1))
    await stores.close()
    shutil.rmtree(stores.upload / "tag=a", ignore_errors=True)
    (stores.upload / "tag=a").write_bytes(b"a file in the way")
    store = await stores.open()
    await until(lambda: "Trying again" in store._saves._pending[str(event.file_name)].reason)
    assert not await store._saves.cancel(event.file_name, Range(asked.from_us, asked.to_us + 1))
    assert await store._saves.cancel(event.file_name, asked)
    assert await store._saves.cancel(event.file_name, asked)  # and is asked for again, when the answer was lost
    assert await status_of(store, event.file_name) == ("cancelled", "") and store.health().pending_saves == 0


@pytest.mark.parametrize("lost", [False, True])
async def test_a_save_for_which_there_can_be_no_upload_path_is_refused_as_one_that_is_waited_for(
    stores: Stores, recording: Path, times: list[int], lost: bool
) -> None:
    """Where a disk is only not there yet, it waits for it."""
    store = await stores.over(recording)
    shutil.rmtree(stores.upload, ignore_errors=True)
    if lost:
        stores.upload.symlink_to(stores.directory / "disk")
    else:
        stores.upload.write_bytes(b"a file in the way")
    asked, sentences = (times[5], times[20]), []
    event = functools.partial(store.mark, "motion", times[10], before_s=0.5, after_s=0.5, save=True)
    for ask in (functools.partial(store.save, *asked, wait=False), event):
        if lost:
            assert (await ask()).file_name
            continue
        with pytest.raises(VideoStoreError) as refused:
            await ask()
        sentences.append(str(refused.value))
        assert refused.value.code == "clip-not-uploaded" and "is not a directory" in sentences[-1]
    if lost:
        return
    with pytest.raises(VideoStoreError) as refused:
        await store.save(*asked)
    assert sentences == [str(refused.value)] * 2
    assert not await store.events() and not store.health().pending_saves


async def test_why_a_save_waits_is_known_to_readers_and_after_a_restart(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    (stores.upload / "tag=a").write_bytes(b"a file in the way")
    event = await store.mark("motion", times[10], before_s=0.5, after_s=0.5, save=True, tags=["a"])

    async def outcome(of: VideoStore) -> tuple[str, str]:
        found = (await of.save_outcomes([event]))[str(event.file_name)]
        return found.status.value, found.reason

    deadline = time.monotonic() + 150
    while "Trying again" not in (await outcome(store))[1]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    async with VideoStore.open(stores.storage) as reader:
        assert await outcome(reader) == await outcome(store)
    await store.close()
    (stores.upload / "tag=a").unlink()
    store = await stores.open()
    await until(lambda: not store.health().pending_saves)
    assert await outcome(store) == ("done", "")
