"""The store: a recorder, an archive, clips and retention over one storage directory, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from videostore.base.clock import Clock, SystemClock
from videostore.base.constants import CLOCK_LEEWAY_US, FFMPEG_FINISH_S, KNOWN_WITHIN_S, RANGE_SLOP_US, US_PER_SECOND
from videostore.base.errors import RequestError, UnreadableRangeError, VideoStoreError, reason_of, whole_characters
from videostore.base.ranges import Range, merge_ranges
from videostore.base.tasks import end_task
from videostore.base.time_parsing import Moment
from videostore.clips.cutter import ClipCutter
from videostore.clips.limits import check_clip_room
from videostore.clips.progress import OnProgress
from videostore.clips.save_queue import SaveQueue
from videostore.clips.uploads import Uploads, tag_directory
from videostore.clips.workspace import WORK_DIRECTORY, Workspaces
from videostore.config import MAX_SIZE_GB, StorageConfig, VideoConfig, parse_recording
from videostore.ffmpeg.encoder import Encoder, choose_encoder
from videostore.ffmpeg.process import check_version, find_ffmpeg, list_encoders
from videostore.media.packet import Gap, Packet, Source
from videostore.recording.recorder import Recorder
from videostore.recording.run import Run
from videostore.storage.archive import Archive
from videostore.storage.free_space import check_floor, shortage_bytes
from videostore.storage.maintenance import StorageMaintainer
from videostore.storage.open_segments import OpenSegments
from videostore.storage.retention import Retention
from videostore.storage.retention_holds import RetentionHolds
from videostore.storage.save_record import SaveJob
from videostore.store.delivery import Delivery, OnRanges
from videostore.store.request_range import parse_request_range
from videostore.store.requests import Requests
from videostore.store.results import ExportedClip, FetchedClip, Health, SavedClip, StorageState

FETCH_LIMIT_BYTES = 25_165_788
"""Raw bytes that fit into such a message as base64 in JSON-like framing: (2^25 - 32 bytes of framing) x 3/4."""

_T = TypeVar("_T")
_ANEW_S = 1.0
_LOOK_S = 0.2


class VideoStore:
    """Records a source into a directory and cuts clips out of it. Owns all it starts between `start` and `close`.

    `record` and `open` make one; as an asynchronous context manager it starts and closes itself:

        async with VideoStore.open("/var/recordings/door") as store:
            clip = await store.fetch("2026-11-22T02:50:00Z", "2026-11-22T02:51:00Z")
    """

    def __init__(
        self,
        name: str,
        storage: StorageConfig,
        *,
        source: Source | None = None,
        live: bool = True,
        video: VideoConfig | None = None,
        framerate: int = 0,
        encoder: Encoder | None = None,
        read_only: bool = False,
        binary: str | None = None,
        clock: Clock | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """For configurations that are checked already; `record` and `open` check theirs.

        `name` begins the names of saved clips. A source is encoded as `video` says, at about `framerate` frames per
        second, or by an `encoder` that is known to be there. `binary` is the ffmpeg to use; None: one that is found.
        """
        if source is not None and video is None and encoder is None:
            raise ValueError("a source needs an encoder")
        self._name = name
        self._storage = storage
        self._source = source
        self._live = live
        self._video = video
        self._framerate = framerate
        self._encoder = encoder
        self._read_only = read_only
        self._binary = binary
        self._clock = clock or SystemClock()
        self._logger = logger or logging.getLogger("videostore")
        self._uploads = Uploads(storage.upload_path, name)
        self._makes_upload_path = True
        """Whether it is made at the start, so that a mistake is told then; else with the first clip."""
        self._holds = RetentionHolds(self._clock)
        self._requests = Requests()
        self._owned = contextlib.AsyncExitStack()
        self._recorder: Recorder | None = None
        self._archive: Archive
        self._open: OpenSegments
        self._clips: ClipCutter
        self._delivery: Delivery
        self._saves: SaveQueue
        self._maintainer: StorageMaintainer

    @classmethod
    def record(
        cls,
        directory: str | Path,
        source: Source | AsyncIterable[Packet | Gap],
        *,
        size_gb: float,
        name: str | None = None,
        upload_path: str | Path | None = None,
        segment_seconds: float | None = None,
        min_free_gb: float | None = None,
        codec: str | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        framerate: int | None = None,
        live: bool = True,
        logger: logging.Logger | None = None,
    ) -> VideoStore:
        """A store that records a source, or any iterable of packets, into a directory, within `size_gb` GiB.

        The arguments are those of the machine config, with the same defaults, limits and units (README, Attributes).
        `codec="copy"` takes over packets that are H.264 or H.265 already. `name` (default: the directory's) begins the
        names of saved clips, which appear in `upload_path` (default: `<directory>-clips`). A source that is not `live`,
        such as a file, waits while ffmpeg is busy; of a live one pictures are dropped then, and counted.

        Raises:
            ConfigError: an argument is wrong; the sentence names it as the attribute of the machine config.
        """
        path = Path(directory).expanduser().absolute()
        config = parse_recording(
            path.name if name is None else name,
            storage={
                "size_gb": size_gb,
                "storage_path": str(path),
                "upload_path": str(_clips_path(path, upload_path)),
                "segment_seconds": segment_seconds,
                "min_free_gb": min_free_gb,
            },
            video={"codec": codec, "bitrate": bitrate, "preset": preset},
            framerate=framerate,
        )
        store = cls(
            config.name,
            config.storage,
            source=source if isinstance(source, Source) else _Once(source),
            live=live,
            video=config.video,
            framerate=config.framerate,
            encoder=Encoder.copy(config.framerate) if codec == "copy" else None,
            logger=logger,
        )
        store._makes_upload_path = upload_path is not None
        return store

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        name: str | None = None,
        upload_path: str | Path | None = None,
        logger: logging.Logger | None = None,
    ) -> VideoStore:
        """A read-only store over a directory, at rest, copied, or being recorded to by somebody else right now.

        Nothing in the directory is changed, be it the index or anything else. `name` and `upload_path` are for `save`,
        as with `record`.
        """
        path = Path(directory).expanduser().absolute()
        storage = StorageConfig(MAX_SIZE_GB, path, _clips_path(path, upload_path), segment_seconds=0)
        return cls(path.name or "recording" if name is None else name, storage, read_only=True, logger=logger)

    async def __aenter__(self) -> VideoStore:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the directory, and begin to record; what the index does not know is found in the background.

        A read-only store knows all that is in the directory when this returns.

        Raises:
            VideoStoreError: the storage or upload path cannot be used, or the encoder is not to be had.
        """
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def _start(self) -> None:
        directory = self._storage.storage_path
        if self._binary is None:
            self._binary = find_ffmpeg()
            await check_version(self._binary)
        if self._encoder is None and self._video is not None:
            name = choose_encoder(self._video.codec, await list_encoders(self._binary))
            self._encoder = Encoder(name, self._video.bitrate, self._video.preset, self._framerate)
        self._owned.callback(self._uploads.close)
        try:
            await self._open_archive()
        except FileNotFoundError as error:
            raise VideoStoreError(f"There is no storage directory {directory}.") from error
        except (OSError, sqlite3.Error) as error:
            raise VideoStoreError(f"The storage at {directory} cannot be used: {reason_of(error)}.") from error
        self._owned.push_async_callback(self._archive.close)
        self._open = OpenSegments(self._archive, self._clock, lambda: self._run)
        workspaces = Workspaces(None if self._read_only else directory / WORK_DIRECTORY)
        self._clips = ClipCutter(self._archive, self._holds, workspaces, self._binary, self._logger, self._open.find)
        self._delivery = Delivery(self._clips, self._uploads, directory)
        self._maintainer = StorageMaintainer(
            self._archive,
            self._make_retention(),
            self._clock,
            self._logger,
            current_run=lambda: self._run,
            on_replaced=self._directory_replaced,
            on_index_changed=self._index_changed,
        )
        await asyncio.get_running_loop().run_in_executor(None, workspaces.sweep)
        if not self._read_only:
            await self._uploads.run(self._uploads.sweep)
        self._saves = SaveQueue(self._archive.index, self._uploads, self._holds, self._logger, self._write_promised)
        self._owned.push_async_callback(self._saves.close)
        self._owned.push_async_callback(self._requests.end)
        self._requests.started = True
        if not self._read_only:
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
                on_run_end=self._maintainer.take_run,
                prepare=self._maintainer.revive,
                live=self._live,
                last_stored=self._open.last_frame_us,
            )
            recording = asyncio.create_task(self._record(self._recorder))
            self._owned.push_async_callback(end_task, recording, FFMPEG_FINISH_S + 1)
        self._maintainer.start()
        self._owned.push_async_callback(self._maintainer.close)
        if self._read_only:
            await self._read_directory()

    async def _open_archive(self) -> None:
        if self._read_only:
            self._archive = await Archive.open_read_only(self._storage.storage_path, self._logger)
            return
        if self._makes_upload_path:
            await self._uploads.run(self._uploads.make_path, self._logger)
        self._archive = await Archive.open(self._storage.storage_path, self._logger)
        try:
            await asyncio.get_running_loop().run_in_executor(None, check_floor, self._storage)
        except BaseException:
            await self._archive.close()
            raise

    def _make_retention(self) -> Retention:
        return Retention(
            self._archive,
            self._storage.quota_bytes,
            open_bytes=self._open.size_bytes,
            holds=self._holds,
            shortage_bytes=lambda: shortage_bytes(self._storage),
            logger=self._logger,
        )

    async def _read_directory(self) -> None:
        while not self._archive.reconciled.is_set():
            if self._maintainer.walk_trouble:
                raise VideoStoreError(self._maintainer.walk_trouble)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._archive.reconciled.wait(), _LOOK_S)

    @property
    def unindexed_segments(self) -> int:
        """How many files are still to be read into an index that was lost; also while it starts."""
        archive = getattr(self, "_archive", None)
        return archive.unindexed_segments if archive else 0

    async def ended(self) -> None:
        """Wait until the source has come to its end, and all of it is recorded; for ever where it has none.

        Raises:
            VideoStoreError: an iterable has failed, or its last frames could not be recorded; what came before is.
        """
        if self._recorder is None:
            raise RequestError("Nothing is being recorded, so there is no end to wait for.")
        await self._recorder.ended.wait()
        if isinstance(self._source, _Once) and self._source.error is not None:
            error = self._source.error
            raise VideoStoreError(f"The source has failed: {reason_of(error).rstrip('.')}.") from error
        if self._recorder.end_fault is not None:
            raise VideoStoreError(f"The end of the source could not be recorded: {self._recorder.end_fault}")

    async def _record(self, recorder: Recorder) -> None:
        while True:
            try:
                await recorder.record()
            except Exception:
                self._logger.exception("The recorder has failed, and begins anew.")
            await asyncio.sleep(_ANEW_S)

    async def close(self) -> None:
        """Finish the open segment, end every process and task. May be called again."""
        self._requests.closing = True
        await self._owned.aclose()

    def _directory_replaced(self) -> None:
        if self._recorder is not None and self._recorder.run is not None:
            self._recorder.interrupt("the storage directory was removed or replaced")

    async def _index_changed(self) -> None:
        if self._read_only:
            return
        await self._saves.rewrite()
        await self._saves.resume()

    async def _attend(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await self._requests.attend(work)
        except UnreadableRangeError:
            if self._maintainer.trouble:  # that is why, and says more
                raise VideoStoreError(self._maintainer.trouble) from None
            raise

    # Requests

    async def save(
        self, start: Moment, end: Moment, *, metadata: str = "", tags: Sequence[str] = (), wait: bool = True
    ) -> SavedClip:
        """Write the clip of [start, end) to the upload path, where it appears complete.

        With `wait=False` it answers at once; the clip is cut as soon as the recording covers `end`.

        Raises:
            RequestError: a moment, the range or a tag is refused, or nothing is stored in the range (when waiting).
            FFmpegError: the clip could not be cut.
        """
        asked = self._asked(start, end)
        metadata = whole_characters(metadata)
        directory = tag_directory(tags)
        if self._read_only and not wait:
            raise RequestError("A store that is open read-only keeps no promises: save with wait=True.")
        async with contextlib.AsyncExitStack() as promise:
            path = await promise.enter_async_context(self._uploads.promise(asked.from_us, metadata, directory))
            accepted_us = self._clock.wall_us()
            save = SaveJob(path.name, str(directory), asked.from_us, asked.to_us, metadata, accepted_us)
            if wait:
                return await self._attend(self._save_now(save, path))
            await self._attend(self._save_later(save))
            return SavedClip(path.name, path, None)

    async def save_status(self, file_name: str) -> SaveJob:
        """Tell what has become of a save, by the name that it answered.

        Raises:
            UnknownSaveError: there was none of this name, or it is long forgotten.
        """
        self._requests.check()
        return await self._attend(self._saves.status(whole_characters(file_name)))

    async def export(
        self,
        start: Moment,
        end: Moment,
        path: str | Path,
        *,
        container: str = "mp4",
        metadata: str = "",
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ExportedClip:
        """Write the clip of [start, end) to a file of any name, where it appears complete; of any size.

        `container` is `mp4`, or `fmp4` for a fragmented one; `metadata` stands in the clip's comment tag. `on_progress`
        gets the share of the work that is done, from 0 to 1.

        Raises:
            RequestError: a moment or the range is refused, nothing is stored in it, or the file is there already, is
                none that can be overwritten, or would lie in the storage directory.
            FFmpegError: the clip could not be cut.
        """
        asked = self._asked(start, end)
        target = Path(path).expanduser().absolute()
        writing = self._delivery.write(
            asked,
            target,
            metadata=whole_characters(metadata),
            container=container,
            overwrite=overwrite,
            on_progress=on_progress,
        )
        return ExportedClip(target, await self._attend(writing))

    async def fetch(
        self, start: Moment, end: Moment, *, container: str = "mp4", limit_bytes: int = FETCH_LIMIT_BYTES
    ) -> FetchedClip:
        """Return the clip of [start, end) as bytes: an MP4, or a fragmented one (`fmp4`).

        Raises:
            TooLargeError: it would be larger than `limit_bytes`; known before any work.
            RequestError: a moment or the range is refused, or nothing is stored in it.
            FFmpegError: the clip could not be cut.
        """
        asked = self._asked(start, end)
        return await self._attend(self._delivery.read(asked, container, limit_bytes))

    async def stream(
        self,
        start: Moment,
        end: Moment,
        *,
        metadata: str = "",
        on_ranges: OnRanges | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the clip of [start, end), of any size, as a fragmented MP4, block by block as they are taken.

        Neither memory nor disk holds the clip. Until the iterator ends or is closed (`contextlib.aclosing`), retention
        deletes nothing of the range. `on_ranges` gets, before the first block, what the clip holds where that is not
        all of the range, else None.

        Raises:
            RequestError: a moment or the range is refused, or nothing is stored in it; before the first block.
            FFmpegError: the clip could not be cut; what came before is its beginning.
        """
        asked = self._asked(start, end)
        async with contextlib.aclosing(self._delivery.stream(asked, whole_characters(metadata), on_ranges)) as blocks:
            async for block in blocks:
                yield block
                if self._requests.closing:
                    raise self._requests.closed()

    async def state(self) -> StorageState:
        """What is stored, the open segment included, and the room that is left."""
        self._requests.check()
        return await self._attend(self._state())

    async def _state(self) -> StorageState:
        if self._read_only:
            await self._archive.known(0, KNOWN_WITHIN_S)
        async with self._archive.steady():
            ranges = self._archive.timeline.ranges()
            open_ranges = [Range(s.start_us, s.end_us) for s, _ in await self._open.find(0, 1 << 62)]
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
            used_bytes=self._archive.stored_bytes + self._open.size_bytes(),
            limit_bytes=None if self._read_only else self._storage.quota_bytes,
            device_free_bytes=usage.free,
        )

    def health(self) -> Health:
        """How recording and storage are right now."""
        if not self._requests.started:
            self._requests.check()
        timeline = self._archive.timeline
        return Health(
            recorder=self._recorder.health() if self._recorder else None,
            stored_seconds=round(timeline.stored_us / US_PER_SECOND, 3),
            stored_bytes=timeline.stored_bytes + self._open.size_bytes(),
            segments=timeline.segments,
            unindexed_segments=self._archive.unindexed_segments,
            pending_saves=self._saves.pending,
            failed_saves=self._saves.failed,
            storage_trouble=self._maintainer.trouble,
            index_trouble=self._archive.index.trouble,
        )

    @property
    def _run(self) -> Run | None:
        return self._recorder.run if self._recorder else None

    def _asked(self, start: Moment, end: Moment) -> Range:
        self._requests.check()
        return parse_request_range(start, end, self._clock, self._archive.timeline)

    async def _save_now(self, save: SaveJob, path: Path) -> SavedClip:
        ranges = await self._write_save(save, path)
        await self._saves.finished(replace(save, ranges=ranges))
        return SavedClip(path.name, path, ranges)

    async def _save_later(self, save: SaveJob) -> None:
        estimated_bytes, length_us = await self._clips.estimate(save.from_us, save.to_us)
        await self._uploads.run(check_clip_room, self._storage.upload_path, estimated_bytes, length_us)
        await self._saves.accept(save)

    async def _write_save(self, save: SaveJob, path: Path) -> tuple[Range, ...] | None:
        return await self._delivery.upload(Range(save.from_us, save.to_us), path, save.metadata)

    async def _write_promised(self, save: SaveJob, path: Path) -> tuple[Range, ...] | None:
        await self._archive.known(save.from_us)
        # `to` may lie ahead of the clock only where something was recorded before that was set back.
        await self._open.wait_until_covered(save.from_us, min(save.to_us, save.accepted_us + CLOCK_LEEWAY_US))
        return await self._write_save(save, path)


class _Once:
    """A source of the packets of an iterable, which can be taken but once."""

    def __init__(self, packets: AsyncIterable[Packet | Gap]) -> None:
        self._packets = packets
        self.error: Exception | None = None
        """What it failed with, which is its end."""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        try:
            async for item in self._packets:
                yield item
        except Exception as error:  # noqa: BLE001 (whoever waits for the end gets it)
            self.error = error
            yield Gap(f"the source has failed: {reason_of(error)}")


def _clips_path(directory: Path, upload_path: str | Path | None) -> Path:
    if upload_path is None:
        return directory.parent / (directory.name + "-clips")
    return Path(upload_path).expanduser().absolute()
