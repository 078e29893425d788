"""Fixtures that tests of several packages use, and the settings of property tests."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.amount import EXHAUSTIVE
from tests.support.clocked_recording import ClockedRecording, StartClocked
from tests.support.dealing import deal
from tests.support.leftovers import no_ffmpeg_left
from tests.support.machine import Machine, run_machine
from tests.support.once import share_between_workers
from tests.support.open_gops import OpenGops
from tests.support.own_mounts import keep_own_mounts
from tests.support.recording import (
    LOGGER,
    START_US,
    Cutter,
    Feed,
    FixedClock,
    Stores,
    capture_times,
    clips_of,
    record,
    take_over,
)
from tests.support.worker_source import fork_workers
from videostore.ffmpeg.process import find_ffmpeg
from videostore.storage.archive import Archive
from videostore.storage.reconciler import Reconciler

# A busy machine makes single examples slow: no property has a deadline.
settings.register_profile("videostore", deadline=None)
settings.load_profile("videostore")

# Programs that are started inherit it if this signal is ignored, as it is in the background of a shell without job
# control: `record` would not end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Let the workers share what takes long to make."""
    # What a test mounts is gone once the process of the tests is, even if that is killed.
    keep_own_mounts()
    share_between_workers(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Let the workers be forks of a process that has imported the tests."""
    fork_workers(config, specs)


def pytest_report_header(config: pytest.Config) -> str:
    """Say which tests a run of all tests leaves out."""
    left_out = [name for name in config.getini("norecursedirs") if name.startswith("tests/")]
    return "left out, each with a target of its own: " + ", ".join(left_out)


# The tests themselves are a million objects, which Python's collector would look through again and again.
gc.disable()


def pytest_collection_finish() -> None:
    """Exempt what stays until the end from garbage collection."""
    gc.freeze()
    gc.enable()


def _is_tried(item: pytest.Item) -> bool:
    marks = {mark.name for mark in item.iter_markers()}
    return "exhaustive" in marks or "cut_short" in marks if EXHAUSTIVE else "exhaustive" not in marks


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `make test-exhaustive` tries, or all else, and deal the rest to the workers."""
    tried = {item for item in items if _is_tried(item)}
    config.hook.pytest_deselected(items=[item for item in items if item not in tried])
    items[:] = deal([item for item in items if item in tried])


@pytest.fixture(autouse=True)
def _leaves_no_ffmpeg() -> Iterator[None]:
    """A test that fails may leave some, which those behind it would count or kill."""
    with no_ffmpeg_left():
        yield


@pytest.fixture(scope="session")
def binary() -> str:
    """The ffmpeg to test with."""
    return find_ffmpeg()


@pytest.fixture(scope="session")
def times() -> list[int]:
    """Capture times of `recording`."""
    return capture_times(7)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory, times: list[int]) -> Path:
    """A directory with one run of 7 s in segments of 2 s, closed and indexed. Tests must not change it."""

    async def build() -> None:
        await record(directory, times)
        await take_over(directory)

    directory = tmp_path_factory.mktemp("recording")
    asyncio.run(build())
    return directory


@pytest.fixture(scope="session")
def open_gops(tmp_path_factory: pytest.TempPathFactory) -> OpenGops:
    """A recording in which segments begin with open GOPs. Tests must not change it."""
    return asyncio.run(OpenGops.make(tmp_path_factory.mktemp("open-gops")))


@pytest.fixture
async def cutter(binary: str) -> AsyncIterator[Callable[[Path], Awaitable[Cutter]]]:
    """Opens the clips of a directory, after all files in it are indexed."""
    opened: list[Archive] = []

    async def open_over(directory: Path) -> Cutter:
        archive = await Archive.open(directory, LOGGER)
        opened.append(archive)
        await Reconciler(archive, LOGGER).reconcile(lambda _: False)
        return Cutter(archive, clips_of(archive, binary))

    yield open_over
    for archive in opened:
        await archive.close()


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    """Makes stores in the test's temporary directory."""
    stores = Stores(tmp_path)
    yield stores
    await stores.close()


@pytest.fixture
async def start_clocked(stores: Stores) -> StartClocked:
    """Starts a recording under a clock that the test steps."""

    async def start(wall_us: int = START_US) -> ClockedRecording:
        clock, feed = FixedClock(wall=wall_us), Feed()
        return ClockedRecording(stores, await stores.open(feed, clock=clock), clock, feed)

    return start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB for this test alone."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """A machine whose module is ready and has no resource yet."""
    async with run_machine(tmp_path) as machine:
        yield machine
