"""The store: a recorder, an archive, clips and retention over one storage directory, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from videostore.answer import FetchedClip, Health, SavedClip, StorageState
from videostore.archive import Archive
from videostore.clips import Clips, Plan
from videostore.clock import Clock, SystemClock
from videostore.config import StorageConfig
from videostore.const import (
    CLOCK_LEEWAY_US,
    CLOSE_SAVES_S,
    COVER_POLL_S,
    COVER_TIMEOUT_S,
    FETCH_LIMIT_BYTES,
    FFMPEG_FINISH_S,
    MIN_FREE_BYTES,
    MIN_FREE_SHARE,
    RANGE_SLOP_US,
    RESCAN_INTERVAL_S,
    US_PER_SECOND,
)
from videostore.encoder import Encoder
from videostore.errors import RequestError, TooLargeError, VideoStoreError, reason_of
from videostore.fragments import NotOursError, read_fragments
from videostore.packet import Source
from videostore.recorder import Recorder
from videostore.retention import Retention
from videostore.run import Run
from videostore.segment import Segment, describe_fragments, name_time_us, parse_open_name
from videostore.timeline import Range, merge_ranges
from videostore.timestamps import format_utc_exact
from videostore.upload import Uploads, progress_path, publish, tag_directory
from videostore.watcher import Change, Watcher

_T = TypeVar("_T")
_TICK_S = 2.0
_CANCEL_AGAIN_S = FFMPEG_FINISH_S + 1
_RANGE_BYTES = 128
"""What one of `ranges` takes of an answer."""


class VideoStore:
    """Records a source into a directory and cuts clips out of it. Owns all it starts between `start` and `close`."""

    def __init__(
        self,
        name: str,
        storage: StorageConfig,
        *,
        binary: str,
        source: Source | None = None,
        encoder: Encoder | None = None,
        clock: Clock | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """`name` begins the names of saved clips; `binary` is the ffmpeg to use; a source needs an encoder."""
        if source is not None and encoder is None:
            raise ValueError("a source needs an encoder")
        self._name = name
        self._storage = storage
        self._binary = binary
        self._source = source
        self._encoder = encoder
        self._clock = clock or SystemClock()
        self._logger = logger or logging.getLogger("videostore")
        self._uploads = Uploads(storage.upload_path, name)
        self._changes: asyncio.Queue[tuple[Change, str]] = asyncio.Queue()
        self._saves: set[asyncio.Task[None]] = set()
        self._requests: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._owned = contextlib.AsyncExitStack()
        self._recorder: Recorder | None = None
        self._archive: Archive
        self._clips: Clips
        self._retention: Retention
        self._watcher: Watcher

    async def start(self) -> None:
        """Open the directory, and begin to record; what the index does not know is found in the background.

        Raises:
            VideoStoreError: the storage or upload path cannot be used.
        """
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def _start(self) -> None:
        directory = self._storage.storage_path
        try:
            self._storage.upload_path.mkdir(parents=True, exist_ok=True)
            self._archive = await Archive.open(directory, self._logger)
        except (OSError, sqlite3.Error) as error:
            raise VideoStoreError(f"The storage at {directory} cannot be used: {reason_of(error)}.") from error
        self._owned.push_async_callback(self._archive.close)
        self._clips = Clips(self._archive, self._binary, self._logger, self._open_segments)
        self._retention = Retention(
            self._archive,
            self._storage.quota_bytes,
            open_bytes=self._open_bytes,
            in_use=self._clips.in_use,
            shortage_bytes=lambda: _shortage_bytes(directory),
            logger=self._logger,
        )
        self._watcher = Watcher(directory, lambda change, name: self._changes.put_nowait((change, name)), self._logger)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._clips.sweep)
        await loop.run_in_executor(None, self._uploads.sweep)
        self._watcher.start()
        self._owned.callback(self._watcher.stop)
        self._owned.push_async_callback(self._end_requests)
        if self._source is not None and self._encoder is not None:
            self._recorder = Recorder(
                self._source,
                self._encoder,
                binary=self._binary,
                directory=directory,
                segment_seconds=self._storage.segment_seconds,
                clock=self._clock,
                logger=self._logger,
                on_run_end=self._take_run,
            )
            self._owned.push_async_callback(_end_task, asyncio.create_task(self._recorder.record()))
        for work in (self._follow_changes(), self._upkeep()):
            self._owned.push_async_callback(self._end_worker, asyncio.create_task(work))

    async def close(self) -> None:
        """Finish the open segment, end every process and task. May be called again."""
        self._closing = True
        await self._owned.aclose()

    async def _end_worker(self, task: asyncio.Task[None]) -> None:
        async with self._archive.steady():  # not between a file's new name and its row in the index
            task.cancel()
        await _end_task(task)

    async def _end_requests(self) -> None:
        """Let what clients wait for come to its end, for a moment; the recording is complete by now."""
        tasks = [*self._saves, *self._requests]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SAVES_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attend(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do a request's work in a task that ends with the request or with the store, whichever comes first."""
        task = asyncio.ensure_future(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if self._closing:
                raise VideoStoreError("The recorder was closed before the clip was done: ask again.") from None
            raise

    # Requests

    async def save(
        self, from_us: int, to_us: int, *, metadata: str = "", tags: Sequence[str] = (), wait: bool = True
    ) -> SavedClip:
        """Write the clip of [from_us, to_us) to the upload path, where it appears complete.

        With `wait=False` it answers at once; the clip is cut as soon as the recording covers `to_us`.

        Raises:
            RequestError: the range or a tag is refused, or nothing is stored in the range (when waiting).
            FFmpegError: the clip could not be cut.
        """
        from_us, to_us = self._check_range(from_us, to_us)
        directory = tag_directory(tags)
        with contextlib.ExitStack() as promises:
            path = promises.enter_context(self._uploads.promise(from_us, metadata, directory))
            if wait:
                ranges = await self._attend(self._write_clip(from_us, to_us, path, metadata))
                return SavedClip(path.name, path, ranges)
            task = asyncio.create_task(self._save_later(from_us, to_us, path, metadata, promises.pop_all()))
            self._saves.add(task)
            task.add_done_callback(self._saves.discard)
            return SavedClip(path.name, path, None)

    async def fetch(
        self, from_us: int, to_us: int, *, container: str = "mp4", limit_bytes: int = FETCH_LIMIT_BYTES
    ) -> FetchedClip:
        """Return the clip of [from_us, to_us) as bytes: an MP4, or a fragmented one (`fmp4`).

        Raises:
            TooLargeError: it would be larger than `limit_bytes`; known before any work.
            RequestError: the range is refused, or nothing is stored in it.
            FFmpegError: the clip could not be cut.
        """
        from_us, to_us = self._check_range(from_us, to_us)
        return await self._attend(self._read_clip(from_us, to_us, container, limit_bytes))

    async def _read_clip(self, from_us: int, to_us: int, container: str, limit_bytes: int) -> FetchedClip:
        async with self._clips.plan(from_us, to_us) as plan, self._clips.temporary() as path:
            if not plan.complete:
                limit_bytes -= _RANGE_BYTES * len(plan.ranges)
            _check_size(plan, plan.estimated_bytes, limit_bytes)
            await self._clips.cut(plan, path, container=container)
            size_bytes = path.stat().st_size
            _check_size(plan, size_bytes, limit_bytes)
            data = await asyncio.get_running_loop().run_in_executor(None, path.read_bytes)
            return FetchedClip(data, None if plan.complete else plan.ranges)

    async def state(self) -> StorageState:
        """What is stored, the open segment included, and the room that is left."""
        async with self._archive.steady():
            ranges = self._archive.timeline.ranges()
            open_ranges = [Range(s.start_us, s.end_us) for s, _ in await self._open_segments(0, 1 << 62)]
        if open_ranges:
            # All but the last closed range are in order already: merging costs what is new.
            ranges = merge_ranges([*ranges, *open_ranges], RANGE_SLOP_US)
        usage = await asyncio.get_running_loop().run_in_executor(None, shutil.disk_usage, self._storage.storage_path)
        return StorageState(
            ranges=tuple(ranges),
            storage_path=self._storage.storage_path,
            used_bytes=self._archive.timeline.stored_bytes + self._open_bytes(),
            limit_bytes=self._storage.quota_bytes,
            device_free_bytes=usage.free,
        )

    def health(self) -> Health:
        """How recording and storage are right now."""
        timeline = self._archive.timeline
        return Health(
            recorder=self._recorder.health() if self._recorder else None,
            stored_seconds=round(timeline.stored_us / US_PER_SECOND, 3),
            stored_bytes=timeline.stored_bytes + self._open_bytes(),
            segments=timeline.segments,
            pending_saves=len(self._saves),
        )

    @property
    def _run(self) -> Run | None:
        return self._recorder.run if self._recorder else None

    def _check_range(self, from_us: int, to_us: int) -> tuple[int, int]:
        now_us = self._clock.wall_us()
        if from_us >= to_us:
            raise RequestError(
                f"'from' ({format_utc_exact(from_us)}) must lie before 'to' ({format_utc_exact(to_us)}),"
                " else the range is empty."
            )
        if to_us > now_us + CLOCK_LEEWAY_US:
            raise RequestError(
                f"'to' ({format_utc_exact(to_us)}) lies in the future: it is {format_utc_exact(now_us)} here."
            )
        if from_us >= now_us:
            raise RequestError(
                f"'from' ({format_utc_exact(from_us)}) lies in the future: it is {format_utc_exact(now_us)} here."
            )
        return from_us, min(to_us, now_us)

    async def _write_clip(self, from_us: int, to_us: int, path: Path, metadata: str) -> tuple[Range, ...] | None:
        """Cut a clip to its place in the upload path; tell what it holds, where that is not all."""
        loop = asyncio.get_running_loop()
        try:
            async with self._clips.plan(from_us, to_us) as plan:
                await loop.run_in_executor(None, lambda: path.parent.mkdir(parents=True, exist_ok=True))
                progress = progress_path(path)
                try:
                    await self._clips.cut(plan, progress, comment=metadata, for_save=True)
                    await loop.run_in_executor(None, publish, progress, path)
                finally:
                    progress.unlink(missing_ok=True)
                return None if plan.complete else plan.ranges
        except OSError as error:
            raise VideoStoreError(
                f"The clip cannot be written to the upload path {path.parent}: {reason_of(error)}."
            ) from error

    async def _save_later(
        self, from_us: int, to_us: int, path: Path, metadata: str, promise: contextlib.ExitStack
    ) -> None:
        with promise:
            try:
                await self._wait_until_covered(to_us)
                await self._write_clip(from_us, to_us, path, metadata)
            except VideoStoreError as error:
                self._logger.error("The asynchronous save of %s failed: %s", path.name, error)
            except asyncio.CancelledError:
                self._logger.error("The asynchronous save of %s was cut short: the recorder was closed.", path.name)
                raise
            except Exception:
                self._logger.exception("The asynchronous save of %s failed.", path.name)
            else:
                self._logger.info("Saved %s.", path.name)

    async def _wait_until_covered(self, to_us: int) -> None:
        """Wait until the recording reaches a moment that has passed: about a keyframe interval, for files tell it."""
        deadline_us = self._clock.monotonic_us() + round(COVER_TIMEOUT_S * US_PER_SECOND)
        while (run := self._run) is not None and self._clock.monotonic_us() < deadline_us:
            # The frame that follows `to` proves that none before it is still to come.
            if any(segment.end_us >= to_us for segment, _ in await self._open_segments(to_us - 1, 1 << 62)):
                return
            if run.epoch_us >= to_us:
                return
            await asyncio.sleep(COVER_POLL_S)

    # Upkeep

    async def _open_segments(self, from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
        """The whole fragments of the current run's segments that are not closed yet."""
        run = self._run
        if run is None:
            return []
        return await asyncio.get_running_loop().run_in_executor(None, _read_open, run, from_us, to_us)

    def _open_bytes(self) -> int:
        run, total = self._run, 0
        for path in run.open_paths() if run else []:
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    async def _take_run(self, run: Run) -> None:
        for path in run.open_paths():
            await self._guard(self._archive.take_open(path))
        await self._guard(self._retention.enforce())

    async def _follow_changes(self) -> None:
        while True:
            changes = [await self._changes.get()]
            while not self._changes.empty():
                changes.append(self._changes.get_nowait())
            deleted = [name for change, name in changes if change is Change.DELETED and name_time_us(name) is not None]
            if deleted:
                await self._guard(self._archive.forget(deleted))
            closed = [name for change, name in changes if change is Change.CLOSED]
            for name in closed:
                await self._guard(self._take(name))
            if closed:
                await self._guard(self._retention.enforce())

    async def _take(self, name: str) -> None:
        path = self._storage.storage_path / name
        if parse_open_name(name):
            run = self._run
            await self._archive.take_open(path, finished_only=run is not None and path in run.open_paths()[-1:])
        elif name_time_us(name) is not None and await self._archive.index.get(name) is None:
            await self._archive.take_closed(name)

    async def _upkeep(self) -> None:
        """What events may have missed: closed segments at each tick, everything at long intervals."""
        rescan_us = 0
        while True:
            if self._clock.monotonic_us() >= rescan_us:
                await self._guard(self._rescan())
                rescan_us = self._clock.monotonic_us() + round(RESCAN_INTERVAL_S * US_PER_SECOND)
            for path in self._run.open_paths()[:-1] if self._run else []:
                await self._guard(self._archive.take_open(path))
            await self._guard(self._retention.enforce())
            await asyncio.sleep(_TICK_S)

    async def _rescan(self) -> None:
        await self._archive.reconcile(lambda run_us: (run := self._run) is not None and run.epoch_us == run_us)

    async def _guard(self, work: Awaitable[None]) -> None:
        """Upkeep that fails is reported and comes round again; it never ends the recording."""
        try:
            await work
        except (OSError, sqlite3.Error) as error:
            self._logger.error("The storage at %s is in trouble: %s", self._storage.storage_path, error)
        except Exception:
            self._logger.exception("Upkeep of the storage failed.")


async def _end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: on Python before 3.12 `wait_for` may lose a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)


def _shortage_bytes(directory: Path) -> int:
    usage = shutil.disk_usage(directory)
    return int(min(MIN_FREE_BYTES, usage.total * MIN_FREE_SHARE)) - usage.free


def _read_open(run: Run, from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
    found = []
    for path in run.open_paths():
        try:
            name = parse_open_name(path.name)
            segment = describe_fragments(path.name, read_fragments(path), name[1] if name else None)
        except (NotOursError, FileNotFoundError):
            continue
        if segment.start_us < to_us and segment.end_us > from_us:
            found.append((segment, path))
    return found


def _check_size(plan: Plan, size_bytes: int, limit_bytes: int) -> None:
    if size_bytes <= limit_bytes:
        return
    fits_s = plan.longest_us / US_PER_SECOND * limit_bytes / size_bytes
    raise TooLargeError(
        f"The clip would have about {size_bytes / 2**20:.1f} MiB, but a grpc answer carries "
        f"{limit_bytes / 2**20:.1f} MiB: fetch at most {int(fits_s * 10) / 10:g} s at once, or save it."
    )
