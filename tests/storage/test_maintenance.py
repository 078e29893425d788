"""Maintenance keeps index and directory in step, reports what is wrong, and never ends by itself."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.support.disk import FailingDisk
from tests.support.recording import LOGGER, SMALL, FixedClock, capture_times, record_run, until, write_foreign
from videostore.base.errors import VideoStoreError
from videostore.base.tasks import end_task
from videostore.media.fmp4 import read_fragments
from videostore.recording.run import Run
from videostore.storage.archive import Archive
from videostore.storage.maintenance import StorageMaintainer
from videostore.storage.retention import Retention
from videostore.storage.retention_holds import RetentionHolds


@dataclass
class Maintenance:
    """Maintenance of a directory, with what a test can change about it."""

    archive: Archive
    clock: FixedClock = field(default_factory=FixedClock)
    fault: Exception | None = None
    """Raised when the free space is checked, which happens at each tick."""
    ticks: int = 0
    replaced: int = 0
    index_changes: int = 0
    run: Run | None = None
    maintainer: StorageMaintainer = field(init=False)

    def __post_init__(self) -> None:
        retention = Retention(
            self.archive,
            1 << 40,
            open_bytes=lambda: 0,
            holds=RetentionHolds(self.clock),
            shortage_bytes=self._shortage,
            logger=LOGGER,
        )
        self.maintainer = StorageMaintainer(
            self.archive,
            retention,
            self.clock,
            LOGGER,
            current_run=lambda: self.run,
            on_replaced=self._replace,
            on_index_changed=self._index_changed,
        )

    def _shortage(self) -> int:
        self.ticks += 1
        if self.fault is not None:
            raise self.fault
        return 0

    async def _replace(self) -> None:
        self.replaced += 1

    async def _index_changed(self) -> None:
        self.index_changes += 1

    async def some_ticks(self, count: int = 5) -> None:
        """Wait for that many more ticks."""
        until_tick = self.ticks + count
        await until(lambda: self.ticks >= until_tick)


@pytest.fixture
async def maintenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Maintenance]:
    """Maintenance of an empty directory, not started yet, with short ticks."""
    monkeypatch.setattr("videostore.storage.maintenance._TICK_S", 0.02)
    archive = await Archive.open(tmp_path / "storage", LOGGER)
    maintenance = Maintenance(archive)
    yield maintenance
    await maintenance.maintainer.close()
    await archive.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]


async def test_a_problem_that_persists_is_logged_once_and_not_at_each_tick(
    maintenance: Maintenance, caplog: pytest.LogCaptureFixture
) -> None:
    maintenance.fault = OSError(5, "Input/output error")
    maintenance.maintainer.start()
    await maintenance.some_ticks()
    sentence = f"The storage at {maintenance.archive.directory} cannot be used: Input/output error."
    assert errors(caplog) == [sentence]
    assert maintenance.maintainer.trouble == sentence
    maintenance.fault = VideoStoreError("Something else is wrong.")
    await maintenance.some_ticks()
    assert errors(caplog)[1:] == ["Something else is wrong."]
    maintenance.fault = None
    await until(lambda: maintenance.maintainer.trouble is None)


async def test_a_problem_that_persists_is_logged_again_after_a_minute(
    maintenance: Maintenance, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.storage.maintenance._REPEAT_S", 0.2)  # the minute
    maintenance.fault = OSError(5, "Input/output error")
    maintenance.maintainer.start()
    await until(lambda: len(errors(caplog)) >= 3)
    assert maintenance.ticks > len(errors(caplog))


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), sqlite3.OperationalError("disk I/O error"), KeyError(1)])
async def test_no_error_ends_the_maintenance(
    maintenance: Maintenance, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    maintenance.fault = error
    maintenance.maintainer.start()
    await maintenance.some_ticks()
    assert maintenance.maintainer.trouble is not None and errors(caplog)
    maintenance.fault = None
    await until(lambda: maintenance.maintainer.trouble is None)
    path = maintenance.archive.directory / "1725634833.mp4"
    await write_foreign(path)
    await until(lambda: maintenance.archive.timeline.segments == 1)


async def test_a_failed_walk_is_repeated_at_the_next_tick_and_a_successful_one_after_ten_minutes(
    maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[OSError | None] = []
    faults = [OSError(24, "Too many open files"), OSError(5, "Input/output error")]
    reconcile = maintenance.maintainer._reconciler.reconcile

    async def walk(being_written: Callable[[int], bool]) -> list[psutil.Process]:
        walks.append(faults.pop(0) if faults else None)
        if walks[-1] is not None:
            raise walks[-1]
        return await reconcile(being_written)

    monkeypatch.setattr(maintenance.maintainer._reconciler, "reconcile", walk)
    maintenance.maintainer.start()
    await until(maintenance.archive.reconciled.is_set)
    assert len(walks) == 3
    await maintenance.some_ticks()
    maintenance.clock.advance(599)
    await maintenance.some_ticks()
    assert len(walks) == 3
    maintenance.clock.advance(1)
    await until(lambda: len(walks) == 4)


async def test_a_directory_that_was_removed_is_recreated_and_watched(maintenance: Maintenance) -> None:
    maintenance.maintainer.start()
    await until(maintenance.archive.reconciled.is_set)
    directory = maintenance.archive.directory
    directory.rename(directory.with_name("elsewhere"))
    await until(lambda: maintenance.replaced == 1 and directory.exists() and maintenance.archive.reconciled.is_set())
    await maintenance.some_ticks()
    await write_foreign(directory / "1725634833.mp4")
    await until(lambda: maintenance.archive.timeline.segments == 1)  # an event reports it: the clock stands still
    assert maintenance.replaced == 1 and maintenance.index_changes >= 1


async def test_lost_rows_are_read_again_at_once(maintenance: Maintenance) -> None:
    await write_foreign(maintenance.archive.directory / "1725634833.mp4")
    maintenance.maintainer.start()
    await until(lambda: maintenance.archive.timeline.segments == 1)
    await until(maintenance.archive.reconciled.is_set)  # the first walk would restore rows that are lost before it
    await maintenance.archive.index.remove(["1725634833.mp4"])
    maintenance.archive.index.incomplete = True
    await until(lambda: maintenance.index_changes >= 1 and not maintenance.archive.index.incomplete)
    await until(maintenance.archive.reconciled.is_set)
    assert [one.file_name for one in await maintenance.archive.index.oldest(9)] == ["1725634833.mp4"]
    assert maintenance.archive.timeline.segments == 1


async def test_finished_segments_of_the_current_run_are_closed_and_the_last_stays_open(
    maintenance: Maintenance,
) -> None:
    times = capture_times(7)
    run = await record_run(maintenance.archive.directory, times)
    assert len(run.open_paths()) == 4
    maintenance.run = run
    maintenance.maintainer.start()
    await until(lambda: maintenance.archive.timeline.segments == 3)
    await until(maintenance.archive.reconciled.is_set)
    await maintenance.some_ticks()
    (last,) = run.open_paths()
    assert last.name.endswith("-000003.open") and maintenance.archive.timeline.segments == 3
    maintenance.run = None
    await maintenance.maintainer.take_run(run)
    paths = sorted(maintenance.archive.directory.glob("*.mp4"))
    assert [time_us for path in paths for time_us in read_fragments(path).times_us] == times
    assert maintenance.archive.timeline.segments == 4


async def test_thousands_of_other_files_cause_no_problem(maintenance: Maintenance) -> None:
    maintenance.maintainer.start()
    for number in range(2000):
        path = maintenance.archive.directory / f"note {number}"
        path.touch()
        os.unlink(path)
    await write_foreign(maintenance.archive.directory / "1725634833.mp4")
    await until(lambda: maintenance.archive.timeline.segments == 1)
    assert maintenance.maintainer.trouble is None


async def test_closing_ends_its_tasks_even_right_after_the_start(maintenance: Maintenance) -> None:
    before = asyncio.all_tasks()
    maintenance.maintainer.start()
    await maintenance.maintainer.close()
    assert asyncio.all_tasks() == before


async def test_a_task_that_loses_its_cancellation_is_cancelled_again() -> None:
    """As `wait_for` does on Python before 3.12."""
    lost = 0

    async def work() -> None:
        nonlocal lost
        while lost < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await end_task(task, 0.02)
    assert task.cancelled() and lost == 2


async def test_what_could_not_be_closed_is_closed_at_the_end(
    maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(monkeypatch, "link", "rename")
    directory = maintenance.archive.directory
    run = await record_run(directory, capture_times(1), size=SMALL, segment_seconds=10)
    disk.fails = True
    await maintenance.maintainer.take_run(run)
    assert list(directory.glob("*.open")) and maintenance.archive.unclosed
    disk.fails = False
    await maintenance.maintainer.take_unclosed()
    assert not list(directory.glob("*.open")) and maintenance.archive.timeline.segments == 1
