"""The public library as a program uses it: `VideoStore.record` and `open`, and every request."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import shutil
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import pytest

import videostore
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import some
from tests.support.feeding import all_at_once
from tests.support.recording import START_US, US, Stores, capture_times, until
from videostore import (
    AnyPath,
    ConfigError,
    FFmpegError,
    FFmpegInput,
    NoRoomError,
    RequestError,
    TimestampError,
    VideoStore,
    verify_directory,
)


@pytest.fixture
def storage(tmp_path: Path, recording: Path) -> Path:
    """A copy of the recording of 7 s."""
    return Path(shutil.copytree(recording, tmp_path / "storage"))


async def test_without_a_source_there_is_no_end_to_wait_for(storage: Path) -> None:
    async with VideoStore.open(storage) as store:
        with pytest.raises(RequestError, match="Nothing is being recorded"):
            await store.ended()


# Recording


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size_gb": 0}, "storage.size_gb is 0"),
        ({"size_gb": 1, "segment_seconds": 0.1}, "segment_seconds is 0.1"),
        ({"size_gb": 1, "preset": "warp"}, "preset is 'warp'"),
        ({"size_gb": 1, "name": "a/b"}, "component name"),
        ({"size_gb": 1, "framerate": -3}, "framerate is -3"),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_is_created(
    tmp_path: Path, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        VideoStore.record(tmp_path / "door", all_at_once([]), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no such encoder"):
        await VideoStore.record(tmp_path / "door", all_at_once([]), size_gb=1, codec="h264_teapot").start()
    assert not list(tmp_path.iterdir())


# Times


async def test_a_time_is_a_number_a_datetime_or_a_text(storage: Path, times: list[int]) -> None:
    async with VideoStore.open(storage) as store:
        begin = datetime.fromtimestamp(START_US // US, timezone.utc)
        expected = read_clip((await store.fetch(START_US // US * US, START_US // US * US + 3 * US)).data)
        for start in (begin, begin.isoformat(), "2024-08-30T06:40:00Z", "2024-08-30_06-40-00Z"):
            assert read_clip((await store.fetch(start, "+3s")).data) == expected
        with pytest.raises(TimestampError, match="'to' is not a valid time: 'soon'"):
            await store.fetch(begin, "soon")
        with pytest.raises(RequestError, match="must be before"):
            await store.fetch(times[5], times[4])


# Streams


async def test_a_stream_shows_the_frames_of_the_range_and_its_tags(storage: Path, times: list[int]) -> None:
    async with VideoStore.open(storage) as store:
        for first, last in ((0, -1), (3, 9), (17, 61)):
            data = b"".join([block async for block in store.stream(times[first], times[last], metadata="a = b")])
            assert check_clip(read_clip(data), times, times[first], times[last]).flawless
            assert b"a = b" in data


async def test_a_stream_that_is_closed_early_leaves_no_process_and_no_file(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    times = capture_times(7)
    for _ in range(6):  # more than may run at once
        async with contextlib.aclosing(store.stream(times[0], times[-1])) as blocks:
            async for _block in blocks:
                break
    assert psutil.Process().children() == []
    assert not list(stores.storage.glob(".cuts/*"))
    with pytest.raises(RequestError, match="Nothing is stored"):
        async for _block in store.stream(times[0] - 60 * US, times[0] - 50 * US):
            pass


async def test_the_quota_does_not_delete_what_a_stream_still_has_to_read(stores: Stores, recording: Path) -> None:
    store = await stores.over(recording)
    times = capture_times(7)
    async with contextlib.aclosing(store.stream(times[0], times[-1])) as blocks:
        data = await anext(blocks)
        assert await store._archive.delete_oldest(1 << 40, 100, store._holds.ranges) == 0
        data += b"".join([block async for block in blocks])
    assert check_clip(read_clip(data), times, times[0], times[-1]).flawless
    assert await store._archive.delete_oldest(1 << 40, 100, store._holds.ranges) > 0


async def test_a_stream_that_ends_because_the_store_closes_raises(storage: Path, times: list[int]) -> None:
    store = VideoStore.open(storage)
    await store.start()
    blocks = store.stream(times[0], times[-1])
    await anext(blocks)
    closing = asyncio.create_task(store.close())
    with pytest.raises(videostore.VideoStoreError, match="closed before the request was done"):
        while True:
            await anext(blocks)
            await asyncio.sleep(0)
    await closing
    assert psutil.Process().children() == []


async def test_a_stream_whose_ffmpeg_fails_raises(storage: Path, times: list[int]) -> None:
    async with VideoStore.open(storage) as store:
        store._clips._maker._binary = "/bin/false"
        with pytest.raises(FFmpegError, match="could not be made"):
            async for _ in store.stream(times[0], times[-1]):
                pass


# Exports


async def test_an_export_is_as_exact_as_a_save_and_appears_complete(
    storage: Path, times: list[int], tmp_path: Path
) -> None:
    shares: list[float] = []
    async with VideoStore.open(storage) as store:
        for container in ("mp4", "fmp4"):
            path = tmp_path / f"{container}.mp4"
            clip = await store.export(times[3], times[60], path, container=container, on_progress=shares.append)
            assert clip.path == path and clip.ranges is None
            assert check_clip(read_clip(path.read_bytes()), times, times[3], times[60]).flawless
        assert shares and all(0 <= share <= 1 for share in shares) and shares[-1] > 0.9
        lacking = await store.export(times[0] - 9 * US, times[9], tmp_path / "part.mp4")
        assert lacking.ranges is not None and lacking.ranges[0].from_us == times[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fmp4.mp4", "mp4.mp4", "part.mp4", "storage"]


async def test_an_export_overwrites_a_file_only_on_request(storage: Path, times: list[int], tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("evidence")
    async with VideoStore.open(storage) as store:
        with pytest.raises(RequestError, match=r"The file .* exists\."):
            await store.export(times[3], times[9], path)
        assert path.read_text() == "evidence"
        await store.export(times[3], times[9], path, overwrite=True)
        assert len(read_clip(path.read_bytes())) == 6
        with pytest.raises(RequestError, match="There is no directory"):
            await store.export(times[3], times[9], tmp_path / "no" / "clip.mp4")


@pytest.mark.parametrize("overwrite", [True, False])
async def test_no_export_is_written_into_the_recording(storage: Path, times: list[int], overwrite: bool) -> None:
    evidence = {path: path.read_bytes() for path in storage.iterdir()}
    async with VideoStore.open(storage) as store:
        for name in (min(storage.glob("*.mp4")).name, "1725000001.mp4", "clip.mp4"):
            with pytest.raises(RequestError, match="is inside the storage directory"):
                await store.export(times[3], times[9], storage / name, overwrite=overwrite)
    assert {path: path.read_bytes() for path in storage.iterdir()} == evidence


async def test_the_later_of_two_exports_to_the_same_file_is_refused(
    storage: Path, times: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    async with VideoStore.open(storage) as store:
        exports = [store.export(times[3], times[last], path) for last in (9, 12)]
        done = await asyncio.gather(*exports, return_exceptions=True)
    refused = [error for error in done if isinstance(error, RequestError)]
    assert len(refused) == 1 and refused[0].code == "output-exists"
    assert len(read_clip(path.read_bytes())) == (6 if isinstance(done[1], RequestError) else 9)


async def test_requests_before_the_start_and_after_the_end_are_refused(
    storage: Path, times: list[int], tmp_path: Path
) -> None:
    store = VideoStore.open(storage)

    async def stream() -> None:
        async for _ in store.stream(times[3], times[9]):
            pass

    def requests() -> list[Coroutine[Any, Any, object]]:
        return [
            store.fetch(times[3], times[9]),
            store.export(times[3], times[9], tmp_path / "clip.mp4"),
            store.save(times[3], times[9]),
            store.save_status("some.mp4"),
            store.state(),
            stream(),
        ]

    for request in requests():
        with pytest.raises(videostore.VideoStoreError, match="The store is not started"):
            await request
    with pytest.raises(videostore.VideoStoreError, match="The store is not started"):
        store.health()
    async with store:
        await store.fetch(times[3], times[9])
    for request in requests():
        with pytest.raises(videostore.VideoStoreError, match="The store was closed before the request was done"):
            await request
    assert not (tmp_path / "clip.mp4").exists()


@some("cancels", [2, 1, 3], 1)
async def test_a_request_that_is_cancelled_repeatedly_leaves_nothing(
    stores: Stores, recording: Path, times: list[int], cancels: int
) -> None:
    store = await stores.over(recording)
    for pause_ms in range(0, 200, 10):
        task = asyncio.create_task(store.fetch(times[3], times[-5]))
        await asyncio.sleep(pause_ms / 1000)
        for _ in range(cancels):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(task, return_exceptions=True)
    assert not list(stores.storage.glob(".cuts/*"))
    assert {path.stat().st_nlink for path in stores.storage.glob("*.mp4")} == {1}
    assert psutil.Process().children() == []


async def test_an_export_that_is_cancelled_or_fails_leaves_no_file(
    storage: Path, times: list[int], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, binary: str
) -> None:
    slow = tmp_path_factory.mktemp("slow") / "ffmpeg"
    slow.write_text(f'#!/bin/sh\n"{binary}" "$@"\nexec sleep 60\n')
    slow.chmod(0o755)
    async with VideoStore.open(storage) as store:
        store._clips._maker._binary = str(slow)
        exporting = asyncio.create_task(store.export(times[0], times[60], tmp_path / "clip.mp4"))
        await until(lambda: any(path.stat().st_size for path in tmp_path.glob("clip.mp4.*.prog")))
        exporting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await exporting
        assert exporting.cancelled() and [path.name for path in tmp_path.iterdir()] == ["storage"]
        store._clips._maker._binary = "/bin/false"
        with pytest.raises(FFmpegError, match="could not be made"):
            await store.export(times[3], times[60], tmp_path / "clip.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["storage"]
    assert psutil.Process().children() == []


async def test_an_export_for_which_there_is_no_room_is_refused_before_any_work(
    storage: Path, times: list[int], small_disk: Path
) -> None:
    with (small_disk / "full").open("wb") as file, contextlib.suppress(OSError):
        file.write(bytes(12 << 20))
    async with VideoStore.open(storage) as store:
        with pytest.raises(NoRoomError, match="or free some space"):
            await store.export(times[3], times[60], small_disk / "clip.mp4")
    assert [path.name for path in small_disk.iterdir()] == ["full"]


# Paths


class Named(os.PathLike[str]):
    """A path of a library that is not pathlib."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.mark.parametrize("kind", [str, os.fsencode, Path, Named])
async def test_a_path_is_whatever_os_fspath_takes(
    storage: Path, times: list[int], tmp_path: Path, kind: Callable[[Path], AnyPath]
) -> None:
    async with VideoStore.open(kind(storage), upload_path=kind(tmp_path / "upload")) as store:
        assert (await store.state()).storage_path == storage
        exported = await store.export(times[3], times[30], kind(tmp_path / "clip.mp4"))
        saved = await store.save(times[3], times[30])
    assert exported.path == tmp_path / "clip.mp4" and saved.path.parent == tmp_path / "upload"
    for path in (exported.path, saved.path):
        assert check_clip(read_clip(path), times, times[3], times[30]).flawless
    source = await FFmpegInput.open(kind(exported.path))
    assert source.info is not None and source.info.codec == "h264"
    recording = VideoStore.record(
        kind(tmp_path / "door"), all_at_once(times[:20]), size_gb=1, upload_path=kind(tmp_path / "clips"), live=False
    )
    async with recording as store:
        await asyncio.wait_for(store.ended(), 150)
    assert list((tmp_path / "door").glob("*.mp4")) and (tmp_path / "clips").is_dir()
    assert not (await verify_directory(kind(tmp_path / "door"))).findings


async def test_a_path_may_be_relative_or_start_with_the_home_directory(
    storage: Path, times: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    for directory, path in (("../storage", "clip.mp4"), ("~/storage", "~/here/home.mp4")):
        async with VideoStore.open(directory) as store:
            exported = await store.export(times[3], times[30], path)
        assert exported.path.is_absolute() and exported.path.parent == tmp_path / "here" and exported.path.exists()


async def test_what_is_not_a_path_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        VideoStore.open(7)  # type: ignore[arg-type]


# The package


def test_every_public_method_is_documented() -> None:
    for name, member in inspect.getmembers(VideoStore):
        if not name.startswith("_"):
            assert member.__doc__, name
