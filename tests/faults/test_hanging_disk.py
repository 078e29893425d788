"""A disk that hangs, of one of the recorders of a process: the others are asked as if nothing were wrong."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.recording import START_US, US, Stores, until
from videostore.base.lanes import MOST_AT_ONCE, LanedThreads
from videostore.store.answer_budget import AnswerBudget
from videostore.store.store import VideoStore

_WITHIN_S = 120.0
_THREADS = 16
RANGE = START_US + US, START_US + 2 * US


class Disk:
    """Keeps all who ask for the free space of a directory waiting, as a disk does that hangs."""

    def __init__(self, directory: Path) -> None:
        self.waiting = 0
        self._directory = directory
        self._answers = threading.Event()
        self._usage = shutil.disk_usage
        self._lock = threading.Lock()

    def usage(self, path: Any) -> Any:
        if Path(path) == self._directory:
            with self._lock:
                self.waiting += 1
            assert self._answers.wait(_WITHIN_S)
        return self._usage(path)

    def go_on(self) -> None:
        self._answers.set()


@pytest.fixture
async def good(tmp_path: Path, recording: Path) -> AsyncIterator[VideoStore]:
    asyncio.get_running_loop().set_default_executor(LanedThreads(_THREADS))
    stores = Stores(tmp_path / "good")
    yield await stores.over(recording)
    await stores.close()


@pytest.fixture
async def bad(tmp_path: Path, recording: Path, good: VideoStore) -> AsyncIterator[Stores]:
    stores = Stores(tmp_path / "bad")
    yield stores
    await stores.close()


@pytest.fixture
def disk(bad: Stores, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(bad.storage)
    monkeypatch.setattr(shutil, "disk_usage", disk.usage)
    yield disk
    disk.go_on()


async def test_requests_that_a_disk_keeps_waiting_take_no_thread_from_other_recorders(
    good: VideoStore, bad: Stores, recording: Path, disk: Disk
) -> None:
    store = await bad.over(recording)
    asked = [asyncio.create_task(store.state()) for _ in range(2 * _THREADS)]
    await until(lambda: disk.waiting >= MOST_AT_ONCE)
    assert (await asyncio.wait_for(good.fetch(*RANGE), _WITHIN_S)).data
    for one in asked:  # their threads wait all the same
        one.cancel()
    await asyncio.wait(asked)
    assert (await asyncio.wait_for(good.state(), _WITHIN_S)).ranges
    assert disk.waiting <= 2 * MOST_AT_ONCE  # requests, and upkeep
    disk.go_on()
    assert (await asyncio.wait_for(store.state(), _WITHIN_S)).ranges


async def test_clips_that_are_not_made_because_of_a_disk_take_no_room_from_those_of_other_recorders(
    good: VideoStore, bad: Stores, recording: Path, tmp_path: Path
) -> None:
    hangs = tmp_path / "ffmpeg"
    hangs.write_text("#!/bin/sh\nexec sleep 1000\n")
    hangs.chmod(0o755)
    store, budget = await bad.over(recording, binary=str(hangs)), AnswerBudget()

    async def fetch(one: VideoStore) -> bytes:
        with budget.room() as room:
            return (await one._fetch(*RANGE, "mp4", 24 << 20, room)).data

    asked = [asyncio.create_task(fetch(store)) for _ in range(6)]
    try:
        await asyncio.wait(asked, timeout=1)  # they wait for each other, or for their ffmpeg
        assert await asyncio.wait_for(fetch(good), _WITHIN_S)
        assert not any(one.done() for one in asked)
    finally:
        for one in asked:
            one.cancel()
        await asyncio.wait(asked)
    assert budget.taken_bytes == 0
