"""Maintenance: keeps index and directory in step, and both usable, while the storage is recorded to.

Over a read-only archive it follows what other processes do to the directory, and changes nothing in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from videostore.base.beat import until_beat
from videostore.base.clock import Clock
from videostore.base.constants import FFMPEG_STUCK_S, US_PER_SECOND
from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.tasks import end_task, off_loop
from videostore.media.segment_names import name_time_us, parse_open_name
from videostore.storage.archive import Archive
from videostore.storage.open_segments import OpenRun
from videostore.storage.reconciler import Reconciler
from videostore.storage.retention import Retention
from videostore.storage.watcher import Change, Watcher

if TYPE_CHECKING:
    import psutil

INDEX_RETRY_S = 10.0
"""How often an index that works in memory tries to return to its file."""

RESCAN_INTERVAL_S = 600.0
"""Time between walks over the directory. They find what file events missed: a full kernel queue drops them silently."""

_TICK_S = 2.0
_REPEAT_S = 60.0
"""A problem that persists is logged again after this time."""


class StorageMaintainer:
    """Owns the watcher and the tasks that follow the directory, between `start` and `close`."""

    def __init__(
        self,
        archive: Archive,
        retention: Retention,
        clock: Clock,
        logger: logging.Logger,
        *,
        current_run: Callable[[], OpenRun | None],
        on_replaced: Callable[[], Awaitable[None]],
        on_index_changed: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_replaced` is awaited when the directory that was written to has been replaced by another. If that fails,
        it is awaited again.

        `on_index_changed` is awaited when the index has lost rows or has returned to its file.
        """
        self._archive = archive
        self._retention = retention
        self._clock = clock
        self._logger = logger
        self._current_run = current_run
        self._on_replaced = on_replaced
        self._on_index_changed = on_index_changed
        self._replaced = False
        self._reconciler = Reconciler(archive, logger)
        self._changes: asyncio.Queue[tuple[Change, str]] = asyncio.Queue()
        self._watcher = Watcher(
            archive.directory,
            lambda change, name: self._changes.put_nowait((change, name)),
            logger,
            created=archive.read_only,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._rescan: asyncio.Task[None] | None = None
        self._rescan_us = 0
        self._index_retry_us = 0
        self._grown = asyncio.Event()
        """Set when more may be stored than the quota allows."""
        self._retention_trouble: str | None = None
        self._logged_at: dict[str, float] = {}
        self.trouble: str | None = None
        """What is wrong with the storage now, as a sentence; None if nothing is."""
        self.walk_trouble: str | None = None
        """Why the last walk over the directory failed, as a sentence; None if it did not."""

    @property
    def limit(self) -> str | None:
        """What made the oldest segments go lately, besides the quota and the free bytes, as a sentence; or None."""
        return str(self._retention.limit) if self._retention.limit else None

    def start(self) -> None:
        """Start to watch the directory and to compare it with the index."""
        self._tasks = [asyncio.create_task(work) for work in (self._follow_changes(), self._attend(), self._retain())]

    async def close(self) -> None:
        """End the tasks, each after the piece of work at hand, and the watcher."""
        async with self._archive.steady():  # not between renaming a file and adding it to the index
            tasks = [*self._tasks, *([self._rescan] if self._rescan else [])]
            for task in tasks:
                task.cancel()
        for task in tasks:
            await end_task(task)
        await off_loop(self._watcher.stop)

    async def take_run(self, run: OpenRun) -> None:
        """Close the segments of a run that has ended."""
        for path in await off_loop(run.open_paths):
            await self._guard(self._close(path, run))  # on failure it is retried at the next tick
        self._grown.set()

    async def take_unclosed(self) -> None:
        """Close what could not be closed so far: the recording has ended, and there is no later attempt."""
        for path in list(self._archive.unclosed):
            await self._guard(self._archive.take_open(path))

    async def revive(self) -> None:
        """Make sure that there is a directory to write to.

        Raises:
            VideoStoreError, OSError: there is none, and none can be created now.
        """
        self._replaced = await self._archive.revive() or self._replaced
        if self._replaced:
            await self._on_replaced()  # before the directory is listed: nothing is deleted until then
            self._replaced = False
            self._rescan_us = self._index_retry_us = 0
            await off_loop(self._watcher.stop)
            await self._watcher.start()

    async def prepare(self) -> None:
        """Make sure that a run can be written: that there is a directory, and that it takes more files.

        Raises:
            VideoStoreError, OSError: there is none, and none can be created now.
        """
        await self.revive()
        await self._guard(self._retention.make_room())

    async def _follow_changes(self) -> None:
        while True:
            changes = [await self._changes.get()]
            while not self._changes.empty():
                changes.append(self._changes.get_nowait())
            deleted = [name for change, name in changes if change is Change.DELETED and name_time_us(name) is not None]
            if deleted:
                await self._guard(self._archive.forget(deleted))
            created = [name for change, name in changes if change is Change.CREATED]
            if created:  # what is no file is never closed
                await off_loop(self._archive.replaced.look_at, created)
            taken = (Change.CLOSED, Change.CREATED) if self._archive.read_only else (Change.CLOSED,)
            closed = [name for change, name in changes if change in taken]
            for name in closed:
                await self._guard(self._take(name))
            for change, name in changes:  # last, so that a renamed segment is always known by one of its names
                if change is Change.DELETED:
                    self._archive.unclosed.discard(self._archive.directory / name)
            if closed:
                self._grown.set()

    async def _take(self, name: str) -> None:
        path = self._archive.directory / name
        if parse_open_name(name):
            written = await self._open_paths()
            await self._close(path, self._current_run(), finished_only=path in written[-1:])
        elif name_time_us(name) is not None:
            if await self._archive.index.get([name]):
                await self._archive.forget([name])  # something else may have taken its place
            else:
                await off_loop(self._archive.replaced.look_at, [name])
                await self._archive.take_closed(name)

    async def _close(self, path: Path, run: OpenRun | None, *, finished_only: bool = False) -> None:
        """Close a segment; `run` knows the frames behind it if it is one of its own."""
        name = parse_open_name(path.name)
        if run is not None and name is not None and name[0] == run.epoch_us:
            await self._archive.take_open(path, finished_only=finished_only, run=run)
        else:
            await self._archive.take_open(path, finished_only=finished_only)

    async def _attend(self) -> None:
        """Find what events missed: closed segments at each tick, everything else at long intervals."""
        await self._watcher.start()
        while True:
            try:
                if await self._finds_nothing():
                    self._grown.set()
                    self.trouble = self._retention_trouble
                else:
                    self.trouble = await self._guard(self.revive()) or await self._attend_once()
            except Exception as error:
                self._logger.exception("Storage maintenance failed. Trying again.")
                self.trouble = f"Storage maintenance failed: {reason_of(error)}."
            await asyncio.sleep(until_beat(_TICK_S))

    async def _finds_nothing(self) -> bool:
        """Whether there is nothing to attend to, as nearly always: seen in one call, which costs less than several."""
        archive, now_us = self._archive, self._clock.monotonic_us()
        if (
            self._replaced
            or archive.read_only
            or archive.unclosed
            or archive.index.incomplete
            or now_us >= self._rescan_us
        ):
            return False
        run = self._current_run()

        def look() -> bool:
            return archive.is_in_place() and (run is None or len(run.open_paths()) <= 1)

        try:
            return await off_loop(look)
        except OSError:
            return False

    async def _attend_once(self) -> str | None:
        trouble = await self._guard(self._attend_index())
        if self._clock.monotonic_us() >= self._rescan_us and (self._rescan is None or self._rescan.done()):
            self._rescan_us = self._clock.monotonic_us() + round(RESCAN_INTERVAL_S * US_PER_SECOND)
            self._rescan = asyncio.create_task(self._walk())
        if await self._archive.is_closing():  # no event has reported the new name
            self._rescan_us = 0
        for path in [*(await self._open_paths())[:-1], *self._archive.unclosed]:
            trouble = await self._guard(self._close(path, self._current_run())) or trouble
        self._grown.set()
        return trouble or self._retention_trouble

    async def _open_paths(self) -> list[Path]:
        """The open segments of the current run, in order; none while nothing is recorded."""
        run = self._current_run()
        return await off_loop(run.open_paths) if run is not None else []

    async def _retain(self) -> None:
        """A separate task: closing segments and attending to the index must not wait for thousands of deletions."""
        checked = -1
        while True:
            await self._grown.wait()
            self._grown.clear()
            self._retention_trouble = await self._guard(self._retention.enforce())
            segments = self._archive.timeline.segments
            if self._current_run() is not None and segments != checked:
                await self._guard(self._retention.make_room())
                checked = self._archive.timeline.segments

    async def _attend_index(self) -> None:
        index = self._archive.index
        changed = index.incomplete
        if index.trouble is None or self._clock.monotonic_us() >= self._index_retry_us:
            self._index_retry_us = self._clock.monotonic_us() + round(INDEX_RETRY_S * US_PER_SECOND)
            changed = await index.ensure_file() or changed
        if index.incomplete:
            self._rescan_us = 0
        if changed:
            await self._on_index_changed()

    async def _walk(self) -> None:
        def being_written(run_us: int) -> bool:
            return (run := self._current_run()) is not None and run.epoch_us == run_us

        async def reconcile() -> None:
            for orphan in await self._reconciler.reconcile(being_written):
                await self._end_orphan(orphan)
                self._rescan_us = 0

        self.walk_trouble = await self._guard(reconcile())
        if self.walk_trouble:
            self._rescan_us = 0

    async def _end_orphan(self, orphan: psutil.Process) -> None:
        """Wait for an ffmpeg whose module was killed: its input has ended, so it exits soon, unless it is stuck."""
        import psutil  # it is there: this is a process of it

        loop = asyncio.get_running_loop()
        self._logger.warning(
            "An ffmpeg of a killed module is still running (process %d). Waiting for it to exit.", orphan.pid
        )
        with contextlib.suppress(psutil.Error):
            try:
                await loop.run_in_executor(None, orphan.wait, FFMPEG_STUCK_S)
            except psutil.TimeoutExpired:
                self._logger.warning("Process %d did not exit. Killing it.", orphan.pid)
                orphan.kill()
                await loop.run_in_executor(None, orphan.wait, FFMPEG_STUCK_S)

    async def _guard(self, work: Awaitable[None]) -> str | None:
        """Log a failure, and return it as a sentence: the work is retried, and recording goes on."""
        try:
            await work
        except (OSError, sqlite3.Error, VideoStoreError) as error:
            if not isinstance(error, VideoStoreError):
                error = VideoStoreError("storage-unusable", path=self._archive.directory, reason=reason_of(error))
            trouble = f"{str(error).rstrip('.')}."
            now = time.monotonic()
            self._logged_at = {text: when for text, when in self._logged_at.items() if now - when < _REPEAT_S}
            if trouble not in self._logged_at:
                self._logged_at[trouble] = now
                self._logger.error("%s", trouble)
            return trouble
        except Exception as error:
            self._logger.exception("Storage maintenance failed. Trying again.")
            return f"Storage maintenance failed: {reason_of(error)}."
        return None
