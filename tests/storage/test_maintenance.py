"""Maintenance: what keeps the archive in step with its directory says what is wrong, and never ends."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.support.recording import LOGGER, FixedClock, capture_times, record, until, write_foreign
from videostore.base.errors import VideoStoreError
from videostore.base.tasks import end_task
from videostore.media.fmp4 import read_fragments
from videostore.recording.run import Run
from videostore.storage.archive import Archive
from videostore.storage.maintenance import StorageMaintainer
from videostore.storage.retention import Retention
from videostore.storage.retention_holds import RetentionHolds


@dataclass
class Kept:
    """Maintenance of a directory, with what a test can change about it."""

    archive: Archive
    clock: FixedClock = field(default_factory=FixedClock)
    fault: Exception | None = None
    """Raised wherever the room on the device is asked for, which is at each tick."""
    ticks: int = 0
    replaced: int = 0
    index_changes: int = 0
    run: Run | None = None
    upkeep: StorageMaintainer = field(init=False)

    def __post_init__(self) -> None:
        retention = Retention(
            self.archive,
            1 << 40,
            open_bytes=lambda: 0,
            holds=RetentionHolds(self.clock),
            shortage_bytes=self._shortage,
            logger=LOGGER,
        )
        self.upkeep = StorageMaintainer(
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

    def _replace(self) -> None:
        self.replaced += 1

    async def _index_changed(self) -> None:
        self.index_changes += 1

    async def some_ticks(self, count: int = 5) -> None:
        """Wait until so many more have passed."""
        until_tick = self.ticks + count
        await until(lambda: self.ticks >= until_tick)


@pytest.fixture
async def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    """Maintenance of an empty directory, not started yet, whose ticks come soon."""
    monkeypatch.setattr("videostore.storage.maintenance._TICK_S", 0.02)
    archive = await Archive.open(tmp_path / "storage", LOGGER)
    kept = Kept(archive)
    yield kept
    await kept.upkeep.close()
    await archive.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]


async def test_a_trouble_that_lasts_is_told_once_and_not_at_each_tick(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    kept.fault = OSError(5, "Input/output error")
    kept.upkeep.start()
    await kept.some_ticks()
    told = f"The storage at {kept.archive.directory} cannot be used: Input/output error."
    assert errors(caplog) == [told]
    assert kept.upkeep.trouble == told
    kept.fault = VideoStoreError("Something else is wrong.")
    await kept.some_ticks()
    assert errors(caplog)[1:] == ["Something else is wrong."]
    kept.fault = None
    await until(lambda: kept.upkeep.trouble is None)


async def test_it_is_told_again_after_a_minute(
    kept: Kept, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.storage.maintenance._REPEAT_S", 0.2)  # the minute
    kept.fault = OSError(5, "Input/output error")
    kept.upkeep.start()
    await until(lambda: len(errors(caplog)) >= 3)
    assert kept.ticks > len(errors(caplog))


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), sqlite3.OperationalError("disk I/O error"), KeyError(1)])
async def test_no_error_ends_the_upkeep(kept: Kept, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    kept.fault = error
    kept.upkeep.start()
    await kept.some_ticks()
    assert kept.upkeep.trouble is not None and errors(caplog)
    kept.fault = None
    await until(lambda: kept.upkeep.trouble is None)
    path = kept.archive.directory / "1725634833.mp4"
    await write_foreign(path)
    await until(lambda: kept.archive.timeline.segments == 1)


async def test_a_walk_that_fails_is_repeated_at_the_next_tick_and_one_that_does_not_only_after_ten_minutes(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[OSError | None] = []
    faults = [OSError(24, "Too many open files"), OSError(5, "Input/output error")]
    reconcile = kept.upkeep._reconciler.reconcile

    async def walk(being_written: Callable[[int], bool]) -> list[psutil.Process]:
        walks.append(faults.pop(0) if faults else None)
        if walks[-1] is not None:
            raise walks[-1]
        return await reconcile(being_written)

    monkeypatch.setattr(kept.upkeep._reconciler, "reconcile", walk)
    kept.upkeep.start()
    await until(kept.archive.reconciled.is_set)
    assert len(walks) == 3
    await kept.some_ticks()
    kept.clock.advance(599)
    await kept.some_ticks()
    assert len(walks) == 3
    kept.clock.advance(1)
    await until(lambda: len(walks) == 4)


async def test_a_directory_that_was_removed_is_made_anew_watched_and_told_of(kept: Kept) -> None:
    kept.upkeep.start()
    await until(kept.archive.reconciled.is_set)
    directory = kept.archive.directory
    directory.rename(directory.with_name("elsewhere"))
    await until(lambda: kept.replaced == 1 and directory.exists() and kept.archive.reconciled.is_set())
    await kept.some_ticks()
    await write_foreign(directory / "1725634833.mp4")
    await until(lambda: kept.archive.timeline.segments == 1)  # an event tells of it: the clock stands still
    assert kept.replaced == 1 and kept.index_changes >= 1


async def test_rows_that_were_lost_are_read_again_at_once_and_told_of(kept: Kept) -> None:
    await write_foreign(kept.archive.directory / "1725634833.mp4")
    kept.upkeep.start()
    await until(lambda: kept.archive.timeline.segments == 1)
    await until(kept.archive.reconciled.is_set)  # the walk at the start makes good what was lost before it
    await kept.archive.index.remove(["1725634833.mp4"])
    kept.archive.index.incomplete = True
    await until(lambda: kept.index_changes >= 1 and not kept.archive.index.incomplete)
    await until(kept.archive.reconciled.is_set)
    assert [one.file_name for one in await kept.archive.index.oldest(9)] == ["1725634833.mp4"]
    assert kept.archive.timeline.segments == 1


async def test_segments_that_the_current_run_has_finished_are_closed_and_the_last_is_left_to_it(kept: Kept) -> None:
    times = capture_times(7)
    run = await record(kept.archive.directory, times)
    assert len(run.open_paths()) == 4
    kept.run = run
    kept.upkeep.start()
    await until(lambda: kept.archive.timeline.segments == 3)
    await until(kept.archive.reconciled.is_set)
    await kept.some_ticks()
    (last,) = run.open_paths()
    assert last.name.endswith("-000003.open") and kept.archive.timeline.segments == 3
    kept.run = None
    await kept.upkeep.take_run(run)
    paths = sorted(kept.archive.directory.glob("*.mp4"))
    assert [time_us for path in paths for time_us in read_fragments(path).times_us] == times
    assert kept.archive.timeline.segments == 4


async def test_thousands_of_names_that_are_no_segments_cost_no_trouble(kept: Kept) -> None:
    kept.upkeep.start()
    for number in range(2000):
        path = kept.archive.directory / f"note {number}"
        path.touch()
        os.unlink(path)
    await write_foreign(kept.archive.directory / "1725634833.mp4")
    await until(lambda: kept.archive.timeline.segments == 1)
    assert kept.upkeep.trouble is None


async def test_closing_ends_its_tasks_and_may_follow_at_once(kept: Kept) -> None:
    before = asyncio.all_tasks()
    kept.upkeep.start()
    await kept.upkeep.close()
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
