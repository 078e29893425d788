"""The store: a recorder, an archive, clips and retention over one storage directory, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    RANGE_SLOP_US,
    RESCAN_INTERVAL_S,
    US_PER_SECOND,
)
from videostore.encoder import Encoder
from videostore.errors import RequestError, TooLargeError, VideoStoreError, reason_of
from videostore.fragments import NotOursError, read_fragments
from videostore.packet import Source
from videostore.recorder import Recorder, RecorderHealth
from videostore.retention import Retention
from videostore.run import Run
from videostore.segment import Segment, describe_fragments, name_time_us, parse_open_name
from videostore.timeline import Range, merge_ranges
from videostore.timestamps import format_utc_exact
from videostore.upload import Uploads, clip_stem, progress_path, publish, tag_directory
from videostore.watcher import Change, Watcher

_TICK_S = 2.0


@dataclass(frozen=True, slots=True)
class SavedClip:
    """Answer to a save."""

    file_name: str
    path: Path
    ranges: tuple[Range, ...] | None
    """What the clip holds, where that is not all of the range; None where it is, or is not known yet."""


@dataclass(frozen=True, slots=True)
class FetchedClip:
    """Answer to a fetch."""

    data: bytes
    ranges: tuple[Range, ...] | None


@dataclass(frozen=True, slots=True)
class StorageState:
    """What is stored, and what room there is."""

    ranges: tuple[Range, ...]
    storage_path: Path
    used_bytes: int
    limit_bytes: int
    device_free_bytes: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the store is, for people."""

    recorder: RecorderHealth | None
    """None where nothing is to be recorded."""
    stored_seconds: float
    stored_bytes: int
    segments: int
    pending_saves: int


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
        self._uploads = Uploads(storage.upload_path)
        self._changes: asyncio.Queue[tuple[Change, str]] = asyncio.Queue()
        self._saves: set[asyncio.Task[None]] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._recording: asyncio.Task[None] | None = None
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
        directory = self._storage.storage_path
        try:
            self._storage.upload_path.mkdir(parents=True, exist_ok=True)
            self._archive = await Archive.open(directory, self._logger)
        except (OSError, sqlite3.Error) as error:
            raise VideoStoreError(f"The storage at {directory} cannot be used: {reason_of(error)}.") from error
        self._clips = Clips(self._archive, self._binary, self._logger, self._open_segments)
        self._retention = Retention(
            self._archive,
            self._storage.quota_bytes,
            open_bytes=self._open_bytes,
            in_use=self._clips.in_use,
            logger=self._logger,
        )
        self._watcher = Watcher(directory, lambda change, name: self._changes.put_nowait((change, name)), self._logger)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._clips.sweep)
        await loop.run_in_executor(None, self._uploads.sweep)
        self._watcher.start()
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
            self._recording = asyncio.create_task(self._recorder.record())
        self._workers = [asyncio.create_task(self._follow_changes()), asyncio.create_task(self._upkeep())]

    async def close(self) -> None:
        """Finish the open segment, end every process and task. May be called again."""
        if self._recording is not None:
            self._recording.cancel()
            await asyncio.gather(self._recording, return_exceptions=True)
            self._recording = None
        if self._saves:
            await asyncio.wait(self._saves, timeout=CLOSE_SAVES_S)
        tasks = [*self._saves, *self._workers]
        self._workers = []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if hasattr(self, "_watcher"):
            self._watcher.stop()
            await self._archive.close()

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
        stem = clip_stem(self._name, from_us, metadata)
        with contextlib.ExitStack() as promises:
            path = promises.enter_context(self._uploads.promise(stem, directory))
            if wait:
                async with self._clips.plan(from_us, to_us) as plan:
                    await self._write_clip(plan, path, metadata)
                    return SavedClip(path.name, path, None if plan.complete else plan.ranges)
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
        async with self._clips.plan(from_us, to_us) as plan, self._clips.temporary() as path:
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

    async def _write_clip(self, plan: Plan, path: Path, metadata: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, lambda: path.parent.mkdir(parents=True, exist_ok=True))
            progress = progress_path(path)
            try:
                await self._clips.cut(plan, progress, comment=metadata)
                await loop.run_in_executor(None, publish, progress, path)
            finally:
                progress.unlink(missing_ok=True)
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
                async with self._clips.plan(from_us, to_us) as plan:
                    await self._write_clip(plan, path, metadata)
            except VideoStoreError as error:
                self._logger.error("The asynchronous save of %s failed: %s", path.name, error)
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
            change, name = await self._changes.get()
            await self._guard(self._follow(change, name))

    async def _follow(self, change: Change, name: str) -> None:
        path = self._storage.storage_path / name
        if change is Change.DELETED:
            if name_time_us(name) is not None and not path.exists() and await self._archive.index.get(name):
                await self._archive.forget([name])
        elif parse_open_name(name):
            run = self._run
            await self._archive.take_open(path, finished_only=run is not None and path in run.open_paths()[-1:])
            await self._retention.enforce()
        elif name_time_us(name) is not None and await self._archive.index.get(name) is None:
            await self._archive.take_closed(name)
            await self._retention.enforce()

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


def _read_open(run: Run, from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
    found = []
    for path in run.open_paths():
        try:
            segment = describe_fragments(path.name, read_fragments(path))
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
