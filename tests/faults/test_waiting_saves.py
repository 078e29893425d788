"""Saves that cannot be written for a while: what they wait for stays, and costs neither space nor recording."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import at_most, cut_short
from tests.support.child_processes import stopped_children
from tests.support.disk import flawless_now, mount, recording_now
from tests.support.feeding import wait_for_cover
from tests.support.recording import US, Pulse, Stores, until
from videostore.base.errors import NoRoomError, RequestError, VideoStoreError
from videostore.store.store import VideoStore

MIB = 1 << 20
STOPS = """#!/bin/sh
case "$*" in *concat*) [ -e "{stuck}" ] && kill -STOP $$ ;; esac
exec "{binary}" "$@"
"""


@pytest.fixture
def stopping(tmp_path: Path, binary: str) -> Path:
    """An ffmpeg that stops before it cuts as long as the file `stuck` beside it exists. It records at any time."""
    directory = tmp_path / "stopping"
    directory.mkdir()
    (directory / "stuck").touch()
    script = directory / "ffmpeg"
    script.write_text(STOPS.format(stuck=directory / "stuck", binary=binary))
    script.chmod(0o755)
    return script


def let_go(stopping: Path) -> None:
    """Cut from now on, and go on with what is stopped."""
    (stopping.parent / "stuck").unlink()
    for process in stopped_children():
        process.resume()


def own_bytes(directory: Path) -> int:
    """What a directory takes on its disk, without second names of files that are elsewhere."""
    status = [path.lstat() for path in directory.rglob("*") if path.is_file()]
    return sum(one.st_blocks * 512 for one in status if one.st_nlink == 1)


def is_cutting() -> bool:
    return bool(stopped_children())


async def all_saved(store: VideoStore) -> None:
    await until(lambda: store.health().pending_saves == 0)


@cut_short
async def test_saves_that_wait_take_no_space_and_cost_no_recording(stores: Stores, stopping: Path) -> None:
    """The first one's ffmpeg is stopped, as behind a disk that hangs; the others wait for it."""
    many = at_most(60, 10)
    pulse = Pulse(0.05, (640, 360))
    store = await stores.open(pulse, segment_seconds=4, binary=str(stopping))
    await until(lambda: len(pulse.delivered) > 60)
    from_us, to_us = pulse.delivered[1], pulse.delivered[41]
    clips = [await store.save(from_us, to_us, metadata=str(n), wait=False) for n in range(many)]
    await until(is_cutting)
    await until(lambda: store.health().stored_bytes > 200_000)
    segments = store.health().segments
    await until(lambda: store.health().segments >= segments + 2)  # segments are closed meanwhile
    assert recording_now(store) and store.health().pending_saves == many
    assert own_bytes(stores.storage / ".cuts") < 200_000 < store.health().stored_bytes
    let_go(stopping)
    await all_saved(store)
    for clip in clips:
        assert check_clip(read_clip(clip.path), pulse.delivered, from_us, to_us).flawless
    await flawless_now(store, pulse)
    assert not list(stores.upload.glob("*.prog"))


async def test_a_save_of_the_open_segment_is_whole_although_the_segment_is_closed_and_grows_meanwhile(
    stores: Stores, stopping: Path
) -> None:
    pulse = Pulse(0.05)
    store = await stores.open(pulse, segment_seconds=4, binary=str(stopping))
    await until(lambda: len(pulse.delivered) > 60)
    await wait_for_cover(store, pulse.delivered[30])
    saving = asyncio.create_task(store.save(pulse.delivered[1], pulse.delivered[30]))
    await until(is_cutting)
    await until(lambda: store.health().segments >= 2)
    let_go(stopping)
    clip = await saving
    assert check_clip(read_clip(clip.path), pulse.delivered, pulse.delivered[1], pulse.delivered[30]).flawless


async def test_what_waits_is_counted_and_refused_in_time(
    stores: Stores, stopping: Path, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.clips.save_queue.MOST_PENDING_SAVES", 3)
    store = await stores.over(recording, binary=str(stopping))
    for _ in range(3):
        await store.save(times[3], times[9], wait=False)
    with pytest.raises(RequestError, match="3 saves are pending already") as refused:
        await store.save(times[3], times[9], wait=False)
    assert refused.value.code == "too-many-saves"
    let_go(stopping)
    await all_saved(store)
    assert len(list(stores.upload.iterdir())) == 3
    await store.save(times[3], times[9], wait=False)


async def test_saves_that_are_accepted_at_the_same_time_are_counted_too(
    stores: Stores, stopping: Path, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.clips.save_queue.MOST_PENDING_SAVES", 3)
    store = await stores.over(recording, binary=str(stopping))
    saving = [store.save(times[3], times[9], metadata=str(n), wait=False) for n in range(9)]
    results = await asyncio.gather(*saving, return_exceptions=True)
    assert sum(isinstance(one, RequestError) and one.code == "too-many-saves" for one in results) == 6
    assert store.health().pending_saves == 3
    let_go(stopping)
    await all_saved(store)


@pytest.mark.exhaustive
async def test_a_pending_save_does_not_lift_the_quota(small_disk: Path, stores: Stores) -> None:
    """The upload path is read-only: the save is tried again and again, while the recording goes round."""
    await mount("-o", "remount,ro", small_disk)
    stores.upload.symlink_to(small_disk)
    pulse, quota_bytes = Pulse(0.05, (640, 360)), MIB
    store = await stores.open(pulse, size_gb=quota_bytes / 2**30, segment_seconds=1)
    await until(lambda: store.health().segments >= 3 and len(pulse.delivered) > 25)
    from_us, to_us = pulse.delivered[5], pulse.delivered[25]
    clip = await store.save(from_us, to_us, wait=False)
    held = {path.name for path in stores.storage.glob("*.mp4")}
    recorded, most_bytes, seen = 0, 0, set[str]()
    while recorded < 2 * quota_bytes:
        files = {path: path.stat().st_size for path in stores.storage.glob("*.mp4") if path.exists()}
        recorded += sum(size for path, size in files.items() if path.name not in seen)
        seen |= {path.name for path in files}
        most_bytes = max(most_bytes, store.health().stored_bytes)
        await asyncio.sleep(0.2)
    longest_bytes = max(path.stat().st_size for path in stores.storage.glob("*.mp4"))
    assert most_bytes < quota_bytes + 2 * longest_bytes
    assert (await store.save_status(clip.file_name)).status.value == "pending" and recording_now(store)
    assert held & {path.name for path in stores.storage.glob("*.mp4")}
    await mount("-o", "remount,rw", small_disk)
    await all_saved(store)
    assert check_clip(read_clip(clip.path), pulse.delivered, from_us, to_us).flawless
    await flawless_now(store, pulse)


async def test_when_pending_saves_hold_all_of_the_quota_others_are_refused_and_recording_goes_on(
    stores: Stores, stopping: Path
) -> None:
    pulse, quota_bytes = Pulse(0.05, (640, 360)), MIB
    store = await stores.open(pulse, size_gb=quota_bytes / 2**30, segment_seconds=1, binary=str(stopping))
    await until(lambda: store.health().stored_bytes > 0.8 * quota_bytes)
    ranges = (await store.state()).ranges
    first = await store.save(ranges[0].from_us, ranges[-1].to_us, wait=False)
    await until(is_cutting)
    refused: NoRoomError | None = None
    while refused is None:
        now_us = pulse.delivered[-1]
        try:
            await store.save(now_us - 3 * US, now_us - US, wait=False)
        except NoRoomError as error:
            refused = error
        await asyncio.sleep(0.3)
    assert refused.code == "held-fills-quota" and "Save again when they are written." in str(refused)
    await flawless_after(store, pulse, stopping)
    assert (await store.save_status(first.file_name)).status.value == "done"


async def flawless_after(store: VideoStore, pulse: Pulse, stopping: Path) -> None:
    """The newest video is kept and can be had, before and after the saves are written."""
    count = len(pulse.delivered)
    await until(lambda: len(pulse.delivered) > count + 60)
    assert recording_now(store)
    assert (await store.state()).ranges[-1].to_us > pulse.delivered[count]
    let_go(stopping)
    await all_saved(store)
    await flawless_now(store, pulse)


async def test_a_save_that_stands_still_fails_with_its_reason_and_the_next_ones_are_written(
    stores: Stores, stopping: Path, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.clips.uploads.UPLOAD_STALL_S", 0.5)
    monkeypatch.setattr("videostore.clips.save_queue.SAVE_RETRIES_S", (0.1,))
    store = await stores.over(recording, binary=str(stopping))
    clip = await store.save(times[3], times[20], wait=False)
    with pytest.raises(VideoStoreError, match=r"does not respond: nothing moved for 0\.5 s") as error:
        await store.save(times[3], times[20])
    assert error.value.code == "upload-stalled"
    await all_saved(store)
    save = await store.save_status(clip.file_name)
    assert save.status.value == "failed" and "does not respond" in save.reason
    let_go(stopping)
    monkeypatch.setattr("videostore.clips.uploads.UPLOAD_STALL_S", 600)
    again = await store.save(times[3], times[20])
    assert check_clip(read_clip(again.path), times, times[3], times[20]).flawless
    assert not list(stores.upload.glob("*.prog")) and not list(stores.storage.glob(".cuts/*"))


async def test_an_upload_path_that_hangs_does_not_hold_up_a_request_for_long(
    stores: Stores, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe stands for the disk: what looks into it waits for another program."""
    monkeypatch.setattr("videostore.clips.uploads.LOOK_S", 0.3)
    store = await stores.over(recording)
    pipe = stores.directory / "pipe"
    os.mkfifo(pipe)
    for _ in range(2):
        with pytest.raises(VideoStoreError, match="does not respond") as error:
            await store._uploads.run(pipe.read_bytes)
        assert error.value.code == "upload-stalled"
    assert (await store.fetch(times[3], times[9])).data
    os.close(os.open(pipe, os.O_RDWR))  # lets all go that wait, and does not wait itself
