"""The store: a recorder, an archive, clips and retention over one storage directory, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import sqlite3
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from videostore.answer import FetchedClip, Health, SavedClip, StorageState
from videostore.archive import Archive
from videostore.claim import mount_point
from videostore.clips import Clips
from videostore.clock import Clock, SystemClock
from videostore.config import StorageConfig
from videostore.const import (
    CLIP_RESERVE_BYTES,
    CLOCK_LEEWAY_US,
    CLOSE_SAVES_S,
    COVER_POLL_S,
    COVER_TIMEOUT_S,
    FETCH_LIMIT_BYTES,
    FFMPEG_FINISH_S,
    NEIGHBOUR_US,
    RANGE_SLOP_US,
    US_PER_SECOND,
)
from videostore.encoder import Encoder
from videostore.errors import (
    ConfigError,
    NoRoomError,
    RequestError,
    TooLargeError,
    UnreadableRangeError,
    VideoStoreError,
    reason_of,
    shown,
    whole_characters,
)
from videostore.fragments import NotOursError, read_fragments
from videostore.holds import Holds
from videostore.packet import Source
from videostore.recorder import Recorder
from videostore.retention import Retention
from videostore.run import Run
from videostore.saved import Save
from videostore.saves import Saves
from videostore.segment import Segment, describe_fragments, parse_open_name
from videostore.timeline import Range, merge_ranges
from videostore.timestamps import format_utc_exact
from videostore.upkeep import Upkeep, end_task
from videostore.upload import Uploads, progress_path, publish, tag_directory

_T = TypeVar("_T")
_ANEW_S = 1.0
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
        self._holds = Holds(self._clock)
        self._upload_mount = Path("/")
        self._requests: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._owned = contextlib.AsyncExitStack()
        self._recorder: Recorder | None = None
        self._archive: Archive
        self._clips: Clips
        self._saves: Saves
        self._upkeep: Upkeep

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
        loop = asyncio.get_running_loop()
        try:
            await self._uploads.run(self._make_upload_path)
            self._archive = await Archive.open(directory, self._logger)
            self._owned.push_async_callback(self._archive.close)
            await loop.run_in_executor(None, self._check_floor)
        except (OSError, sqlite3.Error) as error:
            raise VideoStoreError(f"The storage at {directory} cannot be used: {reason_of(error)}.") from error
        self._clips = Clips(self._archive, self._holds, self._binary, self._logger, self._open_segments)
        retention = Retention(
            self._archive,
            self._storage.quota_bytes,
            open_bytes=self._open_bytes,
            holds=self._holds,
            shortage_bytes=self._shortage_bytes,
            logger=self._logger,
        )
        self._upkeep = Upkeep(
            self._archive,
            retention,
            self._clock,
            self._logger,
            current_run=lambda: self._run,
            on_replaced=self._directory_replaced,
            on_index_changed=self._index_changed,
        )
        await loop.run_in_executor(None, self._clips.sweep)
        self._owned.callback(self._uploads.close)
        await self._uploads.run(self._uploads.sweep)
        self._saves = Saves(self._archive.index, self._uploads, self._holds, self._logger, self._write_promised)
        self._owned.push_async_callback(self._saves.close)
        self._owned.push_async_callback(self._end_requests)
        await self._saves.resume()
        if self._source is not None and self._encoder is not None:
            self._recorder = Recorder(
                self._source,
                self._encoder,
                binary=self._binary,
                directory=directory,
                segment_seconds=self._storage.segment_seconds,
                clock=self._clock,
                logger=self._logger,
                on_run_end=self._upkeep.take_run,
                prepare=self._upkeep.revive,
            )
            recording = asyncio.create_task(self._record(self._recorder))
            self._owned.push_async_callback(end_task, recording, FFMPEG_FINISH_S + 1)
        self._upkeep.start()
        self._owned.push_async_callback(self._upkeep.close)

    async def _record(self, recorder: Recorder) -> None:
        while True:
            try:
                await recorder.record()
            except Exception:
                self._logger.exception("The recorder has failed, and begins anew.")
            await asyncio.sleep(_ANEW_S)

    async def close(self) -> None:
        """Finish the open segment, end every process and task. May be called again."""
        self._closing = True
        await self._owned.aclose()

    async def _end_requests(self) -> None:
        """Let what clients wait for come to its end, for a moment; the recording is complete by now."""
        if self._requests:
            await asyncio.wait(self._requests, timeout=CLOSE_SAVES_S)
        for task in self._requests:
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)

    def _directory_replaced(self) -> None:
        if self._recorder is not None and self._recorder.run is not None:
            self._recorder.interrupt("the storage directory was removed or replaced")

    async def _index_changed(self) -> None:
        await self._saves.rewrite()
        await self._saves.resume()

    async def _attend(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do a request's work in a task that ends with the request or with the store, whichever comes first."""
        if self._closing:
            work.close()
            raise _closed()
        task = asyncio.ensure_future(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        try:
            return await task
        except UnreadableRangeError:
            if self._upkeep.trouble:  # that is why, and says more
                raise VideoStoreError(self._upkeep.trouble) from None
            raise
        except asyncio.CancelledError:
            if self._closing:
                raise _closed() from None
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
        metadata = whole_characters(metadata)
        directory = tag_directory(tags)
        async with contextlib.AsyncExitStack() as promise:
            path = await promise.enter_async_context(self._uploads.promise(from_us, metadata, directory))
            save = Save(path.name, str(directory), from_us, to_us, metadata, self._clock.wall_us())
            if wait:
                return await self._attend(self._save_now(save, path))
            await self._attend(self._save_later(save))
            return SavedClip(path.name, path, None)

    async def save_status(self, file_name: str) -> Save:
        """Tell what has become of a save, by the name that it answered.

        Raises:
            UnknownSaveError: there was none of this name, or it is long forgotten.
        """
        return await self._attend(self._saves.status(whole_characters(file_name)))

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
        async def check(size_bytes: int, length_us: int) -> None:
            _check_size(size_bytes, length_us, limit_bytes)

        async with (
            self._clips.plan(from_us, to_us, check) as plan,
            self._clips.temporary(plan.output_bytes) as path,
        ):
            plan = await self._clips.cut(plan, path, container=container)
            if not plan.complete:
                limit_bytes -= _RANGE_BYTES * len(plan.ranges)
            await check(path.stat().st_size, plan.longest_us)
            data = await asyncio.get_running_loop().run_in_executor(None, path.read_bytes)
            return FetchedClip(data, None if plan.complete else plan.ranges)

    async def state(self) -> StorageState:
        """What is stored, the open segment included, and the room that is left."""
        return await self._attend(self._state())

    async def _state(self) -> StorageState:
        async with self._archive.steady():
            ranges = self._archive.timeline.ranges()
            open_ranges = [Range(s.start_us, s.end_us) for s, _ in await self._open_segments(0, 1 << 62)]
        if open_ranges:
            # All but the last closed range are in order already: merging costs what is new.
            ranges = merge_ranges([*ranges, *open_ranges], RANGE_SLOP_US)
        path = self._storage.storage_path
        try:
            usage = await asyncio.get_running_loop().run_in_executor(None, shutil.disk_usage, path)
        except OSError as error:
            raise VideoStoreError(f"The storage at {path} cannot be used just now: {reason_of(error)}.") from error
        return StorageState(
            ranges=tuple(ranges),
            storage_path=self._storage.storage_path,
            used_bytes=self._archive.stored_bytes + self._open_bytes(),
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
            unknown_segments=self._archive.unknown_segments,
            pending_saves=self._saves.pending,
            failed_saves=self._saves.failed,
            storage_trouble=self._upkeep.trouble,
            index_trouble=self._archive.index.trouble,
        )

    @property
    def _run(self) -> Run | None:
        return self._recorder.run if self._recorder else None

    def _check_range(self, from_us: int, to_us: int) -> tuple[int, int]:
        # What was recorded before the clock was set back lies in the future now, and can be asked for.
        clock_us = self._clock.wall_us()
        now_us = max(clock_us, self._archive.timeline.end_within(from_us, to_us) or 0)
        if from_us >= to_us:
            raise RequestError(
                f"'from' ({format_utc_exact(from_us)}) must lie before 'to' ({format_utc_exact(to_us)}),"
                " else the range is empty."
            )
        if to_us > now_us + CLOCK_LEEWAY_US:
            raise RequestError(
                f"'to' ({format_utc_exact(to_us)}) lies in the future: it is {format_utc_exact(clock_us)} here."
            )
        if from_us >= now_us:
            raise RequestError(
                f"'from' ({format_utc_exact(from_us)}) lies in the future: it is {format_utc_exact(clock_us)} here."
            )
        return from_us, min(to_us, now_us)

    async def _save_now(self, save: Save, path: Path) -> SavedClip:
        ranges = await self._write_clip(save, path)
        await self._saves.finished(replace(save, ranges=ranges))
        return SavedClip(path.name, path, ranges)

    async def _save_later(self, save: Save) -> None:
        await self._check_room(self._storage.upload_path, *(await self._clips.estimate(save.from_us, save.to_us)))
        await self._saves.accept(save)

    async def _write_clip(self, save: Save, path: Path) -> tuple[Range, ...] | None:
        """Cut a clip to its place in the upload path; tell what it holds, where that is not all."""

        async def check(size_bytes: int, length_us: int) -> None:
            await self._check_room(self._storage.upload_path, size_bytes, length_us)

        try:
            async with self._clips.plan(save.from_us, save.to_us, check) as plan:
                await check(plan.output_bytes, plan.longest_us)
                await self._uploads.run(self._make_directory, path.parent)
                progress = progress_path(path)
                try:
                    plan = await self._clips.cut(plan, progress, comment=save.metadata, for_save=True)
                    await self._uploads.run(publish, progress, path)
                finally:
                    progress.unlink(missing_ok=True)
                return None if plan.complete else plan.ranges
        except OSError as error:
            raise VideoStoreError(
                f"The clip cannot be written to the upload path {path.parent}: {reason_of(error)}."
            ) from error

    async def _write_promised(self, save: Save, path: Path) -> tuple[Range, ...] | None:
        await self._archive.known(save.from_us)
        # `to` may lie ahead of the clock only where something was recorded before that was set back.
        await self._wait_until_covered(save.from_us, min(save.to_us, save.accepted_us + CLOCK_LEEWAY_US))
        return await self._write_clip(save, path)

    async def _check_room(self, directory: Path, size_bytes: int, length_us: int) -> None:
        usage = await self._uploads.run(_disk_usage, directory)
        room_bytes = max(0, usage.free - min(CLIP_RESERVE_BYTES, usage.total // 50))
        if size_bytes > room_bytes:
            fits_s = length_us / US_PER_SECOND * room_bytes / size_bytes
            raise NoRoomError(
                f"The clip of this range would take about {size_bytes / 2**20:.1f} MiB, but the disk of {directory} "
                f"has room for {room_bytes / 2**20:.1f} MiB: ask for at most {int(fits_s * 10) / 10:g} s, or make room."
            )

    async def _wait_until_covered(self, from_us: int, to_us: int) -> None:
        """Wait until the recording reaches a moment that has passed: about a keyframe interval, for files tell it."""
        deadline_us = self._clock.monotonic_us() + round(COVER_TIMEOUT_S * US_PER_SECOND)
        while (run := self._run) is not None and self._clock.monotonic_us() < deadline_us:
            # The frame that follows `to` proves that none before it is still to come.
            if any(segment.end_us >= to_us for segment, _ in await self._open_segments(to_us - 1, 1 << 62)):
                return
            if run.epoch_us >= to_us:
                return
            if from_us > self._clock.wall_us() and run.last_us + CLOCK_LEEWAY_US < from_us:
                return  # it was recorded before the clock was set back
            # Of a segment as short as its fragments nothing can be read before it is closed.
            closed = await self._archive.index.select(to_us, to_us + NEIGHBOUR_US)
            if any(segment.run_us == run.epoch_us and segment.start_us >= to_us for segment in closed):
                return
            await asyncio.sleep(COVER_POLL_S)

    async def _open_segments(self, from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
        """The whole fragments of the current run's segments that are not closed yet."""
        run = self._run
        paths = dict.fromkeys([*(run.open_paths() if run else []), *self._archive.unclosed])
        if not paths:
            return []
        return await asyncio.get_running_loop().run_in_executor(None, _read_open, list(paths), from_us, to_us)

    def _open_bytes(self) -> int:
        run, total = self._run, 0
        for path in run.open_paths() if run else []:
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def _make_upload_path(self) -> None:
        path = self._storage.upload_path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.ENOSPC):
                raise VideoStoreError(f"The upload path {path} cannot be used: {reason_of(error)}.") from error
            self._logger.error("Nothing can be saved to %s just now: %s.", path, reason_of(error))
        self._upload_mount = mount_point(path)

    def _make_directory(self, directory: Path) -> None:
        if not os.path.ismount(self._upload_mount):  # what is written there now would be hidden when it comes back
            raise VideoStoreError(f"The device of storage.upload_path {str(self._storage.upload_path)!r} is gone.")
        directory.mkdir(parents=True, exist_ok=True)

    def _check_floor(self) -> None:
        total_bytes = shutil.disk_usage(self._storage.storage_path).total
        if self._storage.min_free_bytes(total_bytes) >= total_bytes:
            raise ConfigError(
                f"The attribute storage.min_free_gb is {shown(self._storage.min_free_gb)}, but must be less than the "
                f"size of the device of {str(self._storage.storage_path)!r}, {total_bytes / 2**30:.2f} GiB."
            )

    def _shortage_bytes(self) -> int:
        usage = shutil.disk_usage(self._storage.storage_path)
        return self._storage.min_free_bytes(usage.total) - usage.free


def _disk_usage(directory: Path) -> Any:
    """Of the device on which a directory is, or will be made."""
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory)


def _closed() -> VideoStoreError:
    return VideoStoreError("The recorder was closed before the request was done: ask again.")


def _read_open(paths: list[Path], from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
    found = []
    for path in paths:
        try:
            name = parse_open_name(path.name)
            segment = describe_fragments(path.name, read_fragments(path), name[1] if name else None)
        except (NotOursError, OSError):
            continue
        if segment.start_us < to_us and segment.end_us > from_us:
            found.append((segment, path))
    return found


def _check_size(size_bytes: int, length_us: int, limit_bytes: int) -> None:
    if size_bytes <= limit_bytes:
        return
    fits_s = length_us / US_PER_SECOND * limit_bytes / size_bytes
    raise TooLargeError(
        f"The clip would have about {size_bytes / 2**20:.1f} MiB, but a grpc answer carries "
        f"{limit_bytes / 2**20:.1f} MiB: fetch at most {int(fits_s * 10) / 10:g} s at once, or save it."
    )
