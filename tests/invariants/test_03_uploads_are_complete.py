"""Invariant 3: a file in the upload path whose name does not end in `.prog` is complete."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.disturbances import ffmpegs
from tests.support.recording import US, Pulse, Stores, until
from tests.support.watching import files_in, watching
from videostore.base.errors import VideoStoreError
from videostore.clips.clip_names import PROGRESS_SUFFIX
from videostore.storage.open_segments import COVER_TIMEOUT_S
from videostore.store.store import VideoStore


async def test_every_clip_is_complete_when_it_appears_in_the_upload_path(
    stores: Stores, recording: Path, times: list[int], tmp_path: Path, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the ffmpeg that cuts it is killed, and where the store is closed meanwhile."""
    monkeypatch.setattr("videostore.clips.save_queue.SAVE_RETRIES_S", (0.05,) * 50)
    slow = tmp_path / "ffmpeg"
    slow.write_text(f'#!/bin/sh\nexec "{binary}" -readrate 15 "$@"\n')
    slow.chmod(0o755)
    dice = random.Random(3)
    seen: dict[Path, bytes] = {}
    half_written: set[Path] = set()
    shown: dict[Path, list[int]] = {}

    def look() -> None:
        for path in files_in(stores.upload, "**/*"):
            if path.name.endswith(PROGRESS_SUFFIX):
                half_written.add(path)
            elif path not in seen:
                seen[path] = path.read_bytes()
                shown[path] = [frame.captured_us if frame else 0 for _, frame in read_clip(seen[path])]

    expected: dict[Path, list[int]] = {}

    async def save(store: VideoStore, *, wait: bool) -> None:
        first = dice.randrange(0, len(times) - 20)
        last = dice.randrange(first + 15, len(times))
        with contextlib.suppress(VideoStoreError):
            tags = dice.sample(["a", "b", "c"], dice.randrange(3))
            clip = await store.save(times[first], times[last], metadata="x", tags=tags, wait=wait)
            expected[clip.path] = times[first:last]

    killed = 0
    async with watching(look):
        store = await stores.over(recording, binary=str(slow))
        for round_ in range(3):
            saves = [asyncio.create_task(save(store, wait=n % 2 == 0)) for n in range(6)]
            for _ in range(2):
                await until(lambda: ffmpegs(PROGRESS_SUFFIX))
                if files_in(stores.upload, "**/*.prog"):
                    for process in ffmpegs(PROGRESS_SUFFIX):
                        process.kill()
                        killed += 1
                await asyncio.sleep(dice.uniform(0, 0.4))
            await stores.close()  # while saves are in progress
            await asyncio.gather(*saves)
            store = await stores.open(binary=str(slow if round_ < 2 else binary))
        await until(lambda: store.health().pending_saves == 0)
    assert killed and len(half_written) > len(expected) > 5
    assert store.health().failed_saves == []
    assert shown == expected
    assert {path: path.read_bytes() for path in files_in(stores.upload, "**/*")} == seen


async def test_what_a_closing_store_tells_of_a_save_is_what_comes_of_it(
    stores: Stores, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip appears if the save was accepted or done, and none does of a save that was refused."""
    monkeypatch.setattr("videostore.store.request_tasks.CLOSE_SAVES_S", 0)
    monkeypatch.setattr("videostore.clips.save_queue.CLOSE_SAVES_S", 0)
    dice = random.Random(5)
    told: set[Path] = set()
    refused = 0

    async def save(store: VideoStore, *, wait: bool) -> None:
        nonlocal refused
        try:
            told.add((await store.save(times[3], times[40], metadata="x", wait=wait)).path)
        except VideoStoreError as error:
            assert error.code == "closed"
            refused += 1

    store = await stores.over(recording)
    for round_ in range(8):
        saves = [asyncio.create_task(save(store, wait=n % 2 == 0)) for n in range(4)]
        if round_ % 2:
            await asyncio.sleep(dice.uniform(0, 0.15))
        else:  # while a clip gets its name
            known = len(files_in(stores.upload, "**/*.mp4"))
            while len(files_in(stores.upload, "**/*.mp4")) == known:  # noqa: ASYNC110 (the file system tells it)
                await asyncio.sleep(0)
        await stores.close()
        await asyncio.gather(*saves)
        store = await stores.open()
    await until(lambda: store.health().pending_saves == 0)
    assert set(files_in(stores.upload, "**/*.mp4")) == told
    assert refused and told


async def test_an_asynchronous_save_appears_within_seconds_although_segments_are_short(
    stores: Stores,
) -> None:
    """A segment as short as its fragments cannot be read before it is closed."""
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=1)
    await until(lambda: len(pulse.delivered) > 20)
    for _ in range(2):
        to_us = pulse.delivered[-1]
        clip = await store.save(to_us - US, to_us, wait=False)
        await until(clip.path.exists, COVER_TIMEOUT_S / 2)  # it does not wait for more recording until the timeout
        shown = [frame.captured_us for _, frame in read_clip(clip.path) if frame]
        assert shown == [t for t in pulse.delivered if to_us - US <= t < to_us]
