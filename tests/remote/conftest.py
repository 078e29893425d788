"""A machine that has recorded, for the tests of its clients. In every one of them, no code of `videostore` may wait for
a disk on an event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from scripts.fakes.machine import ForwardedCamera, MachineServer
from tests.support import loop_watch
from tests.support.machine import NAME, US, run_machine
from tests.support.machine import Machine as Recording
from tests.support.remote_recorder import Remote
from tests.support.stored_range import RECORDED_S
from videostore.store.store import VideoStore


@pytest.fixture(autouse=True)
def no_blocking_calls(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails the test if a blocking call was made on a loop."""
    with loop_watch.no_blocking_calls(tmp_path_factory.mktemp("loop-watch") / "found", monkeypatch):
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def with_gap(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Recording, int]]:
    """A module that has recorded for some seconds, got no images for a moment, and goes on; the first frame then."""
    async with run_machine(tmp_path_factory.mktemp("machine"), jitter=True) as recorded:
        await recorded.add()
        await recorded.record(RECORDED_S)
        recorded.camera.fault = "error"
        count = len(recorded.camera.delivered)

        async def paused() -> bool:
            return (await recorded.status())["recording"] is False

        await recorded.until(paused)
        recorded.camera.fault = None
        await recorded.record(2)
        first_us = recorded.camera.delivered[count]
        await recorded.recorded_until(first_us + US)
        yield recorded, first_us


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(with_gap: tuple[Recording, int]) -> Recording:
    """That module."""
    return with_gap[0]


@pytest_asyncio.fixture(loop_scope="module")
async def forwarded(recorded: Recording) -> ForwardedCamera:
    """The recorder as the machine forwards it."""
    return ForwardedCamera(recorded.parent.camera(NAME))


@pytest_asyncio.fixture(loop_scope="module")
async def server(recorded: Recording, forwarded: ForwardedCamera) -> AsyncIterator[MachineServer]:
    """The machine: the recorder, and the camera that it records, which supports no commands."""
    async with MachineServer([recorded.camera, forwarded]) as server:
        yield server


@pytest.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    """Opens a directory as a remote recorder."""
    opened: list[VideoStore] = []

    async def open_remote(directory: Path) -> Remote:
        store = VideoStore.open(directory)
        await store.start()
        opened.append(store)
        work = tmp_path / "work"
        work.mkdir()
        return Remote(store, work)

    yield open_remote
    for store in opened:
        await store.close()
