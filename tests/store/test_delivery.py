"""Clips as files: each appears complete or not at all, and holds what is stored of its range."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.disk import mount
from tests.support.recording import US, Stores
from tests.support.size_limit import files_of_at_most
from videostore.base.errors import NothingStoredError, VideoStoreError
from videostore.base.ranges import Range


async def test_saves_of_the_same_range_at_the_same_time_all_complete(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    saved = await asyncio.gather(*(store.save(times[3], times[40], metadata="x") for _ in range(4)))
    names = [clip.file_name for clip in saved]
    assert len(set(names)) == 4
    stem = min(names, key=len).removesuffix(".mp4")
    assert sorted(names) == sorted([f"{stem}.mp4", *(f"{stem}-{n}.mp4" for n in (2, 3, 4))])
    for clip in saved:
        assert check_clip(read_clip(clip.path), times, times[3], times[40]).flawless
    assert sorted(path.name for path in stores.upload.iterdir()) == sorted(names)


async def test_the_name_of_a_clip_ends_in_prog_while_it_is_written(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    """Whatever is in the upload path under another name is complete at any moment."""
    store = await stores.over(recording)
    seen: set[str] = set()
    saving = asyncio.create_task(store.save(times[3], times[60]))
    while not saving.done():
        for path in stores.upload.iterdir():
            seen.add(path.suffix)
            if path.suffix != ".prog":
                assert len(read_clip(path)) == 57
        await asyncio.sleep(0)
    clip = await saving
    assert ".prog" in seen
    assert [path.name for path in stores.upload.iterdir()] == [clip.file_name]


async def test_a_save_that_fails_leaves_nothing(stores: Stores, recording: Path, times: list[int]) -> None:
    store = await stores.over(recording, binary="/nowhere/ffmpeg")
    with pytest.raises(VideoStoreError, match="could not be made"):
        await store.save(times[3], times[9], tags=["a"])
    with pytest.raises(NothingStoredError):
        await store.save(times[0] - 9 * US, times[0] - 8 * US)
    assert not [path for path in stores.upload.rglob("*") if path.is_file()]


async def test_the_error_for_an_upload_path_that_cannot_be_written_names_it(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    (stores.upload / "tag=a").write_bytes(b"a file in the way")
    with pytest.raises(VideoStoreError, match="cannot be written to the upload path") as error:
        await store.save(times[3], times[9], tags=["a"])
    assert (error.value.code, error.value.path) == ("clip-not-uploaded", stores.upload / "tag=a")
    assert error.value.reason == "File exists"


async def test_the_error_of_a_clip_names_the_fault_of_the_disk_that_it_was_to_be_written_to(
    stores: Stores, recording: Path, times: list[int], small_disk: Path
) -> None:
    stores.upload.symlink_to(small_disk)
    store = await stores.over(recording)
    await mount("-o", "remount,ro", small_disk)
    with pytest.raises(VideoStoreError) as saving:
        await store.save(times[3], times[30])
    with pytest.raises(VideoStoreError) as exporting:
        await store.export(times[3], times[30], small_disk / "clip.mp4")
    assert (saving.value.code, exporting.value.code) == ("clip-not-uploaded", "clip-not-written")
    assert saving.value.fields["reason"] == exporting.value.fields["reason"] == "Read-only file system"


async def test_the_quota_does_not_delete_what_a_clip_in_progress_needs(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    async with store._clips.plan(times[3], times[9]) as plan:
        retention = store._maintainer._retention
        retention._quota_bytes = 1
        await retention.enforce()
        assert (stores.storage / plan.parts[0].segment.file_name).exists()
    await retention.enforce()
    assert not list(stores.storage.glob("*.mp4"))
    assert (await store.state()).ranges == ()


async def test_the_ranges_of_a_clip_are_what_is_stored_of_its_range(
    stores: Stores, recording: Path, times: list[int]
) -> None:
    store = await stores.over(recording)
    clip = await store.save(times[0] - 10 * US, times[9])
    assert clip.ranges == (Range(times[0], times[9]),)


@pytest.mark.parametrize("asked", ["fetch", "video", "export", "save"])
async def test_a_clip_that_may_not_become_as_large_names_the_limit(
    stores: Stores, recording: Path, times: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture, asked: str
) -> None:
    store, between = await stores.over(recording), (times[3], times[-3])
    requests: dict[str, Callable[[], Awaitable[object]]] = {
        "fetch": lambda: store.fetch(*between),
        "video": lambda: anext(store._delivery.video(Range(*between), "mp4")),
        "export": lambda: store.export(*between, tmp_path / "clip.mp4"),
        "save": lambda: store.save(*between),
    }
    with files_of_at_most(60_000), pytest.raises(VideoStoreError) as refused:
        await requests[asked]()
    assert refused.value.code == ("clip-not-uploaded" if asked == "save" else "clip-not-written")
    for told in (str(refused.value), caplog.text):
        assert "may write no file of more than 60,000 bytes (RLIMIT_FSIZE)" in told
    assert (await store.fetch(*between)).data
    assert not (tmp_path / "clip.mp4").exists() and not [*stores.upload.rglob("*.mp4"), *stores.upload.rglob("*.prog")]
