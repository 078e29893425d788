"""The parts of a store: which ones work over one storage directory, and in which order they start and end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from videostore.base.clock import Clock, SystemClock
from videostore.base.constants import CLOCK_LEEWAY_US, FFMPEG_FINISH_S
from videostore.base.errors import VideoStoreError
from videostore.base.files import missing_directories, remove_empty_directories
from videostore.base.lanes import Lane
from videostore.base.ranges import Range
from videostore.base.tasks import end_task, off_loop
from videostore.clips.clip_content import ClipContent
from videostore.clips.save_queue import SaveQueue
from videostore.clips.uploads import START_LOOK_S, Uploads
from videostore.clips.workspace import WORK_DIRECTORY, Workspaces
from videostore.config import StorageConfig, VideoConfig
from videostore.ffmpeg.encoder import Encoder, choose_encoder
from videostore.ffmpeg.process import check_version, find_ffmpeg, list_encoders
from videostore.media.packet import Source
from videostore.recording.recorder import Recorder
from videostore.recording.run import Run
from videostore.storage.archive import Archive
from videostore.storage.free_space import check_disk, shortage_bytes
from videostore.storage.gap_notes import GapNotes, note_deleted
from videostore.storage.maintenance import StorageMaintainer
from videostore.storage.notes import Notes
from videostore.storage.open_segments import COVER_POLL_S, OpenSegments
from videostore.storage.opening_error import storage_error
from videostore.storage.reconciler import know_open
from videostore.storage.retention import Retention
from videostore.storage.retention_holds import RetentionHolds
from videostore.storage.save_record import SaveJob, SaveStatus
from videostore.store.clip_loading import load_clips
from videostore.store.marking import Marking, wait_until
from videostore.store.request_tasks import RequestTasks
from videostore.store.viewing import Viewing

if TYPE_CHECKING:
    from videostore.clips.cutter import ClipCutter
    from videostore.clips.snapshots import Snapshots
    from videostore.store.clip_parts import ClipParts
    from videostore.store.delivery import Delivery

_RESTART_S = 1.0
"""Pause before a recorder that failed starts again."""
_POLL_S = 0.2
_WALK_S = 1.0
"""So long a store that can answer from its index waits for the walk over its directory: most take less."""
_T = TypeVar("_T")


class StoreParts:
    """Starts the parts of a `VideoStore` and ends them. Owns all of them in between."""

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
        """For configurations that are already validated; `record` and `open` validate theirs.

        `name` is the start of the names of saved clips. A source is encoded as `video` says, at about `framerate`
        frames per second, or by an `encoder` that this ffmpeg is known to have. `binary` is the ffmpeg to use; without
        it, `find_ffmpeg` chooses one.
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
        self._uploads = Uploads(storage.upload_path, name, None if read_only else storage.storage_path)
        self._creates_upload_path = True
        """Whether `start` creates it, so that a mistake shows at once; otherwise the first clip does."""
        self._uploads_hang = False
        self._begins_with_index = False
        """Read-only: whether it answers from the index while the directory is walked. What has vanished is then known
        late, as is what the index lacks."""
        self._was_closed = False
        """Whether another store of this process has recorded to the directory: the config was changed."""
        self._holds = RetentionHolds(self._clock)
        self._requests = RequestTasks()
        self._lane = Lane()  # of recording and upkeep
        self._owned = contextlib.AsyncExitStack()
        self._recorder: Recorder | None = None
        self._archive: Archive
        self._open: OpenSegments
        self._viewing: Viewing
        self._workspaces: Workspaces
        self._made: ClipParts | None = None
        self._retention: Retention
        self._notes: Notes
        self._marking: Marking
        self._saves: SaveQueue
        self._maintainer: StorageMaintainer

    async def _start_parts(self) -> None:
        """Start every part. The caller ends them, also if this fails."""
        directory = self._storage.storage_path
        if self._binary is None:
            self._binary = await off_loop(find_ffmpeg)
            await check_version(self._binary)
        if self._encoder is None and self._video is not None:
            name = choose_encoder(self._video.codec, await list_encoders(self._binary))
            self._encoder = Encoder(name, self._video.bitrate, self._video.preset, self._framerate)
        self._owned.callback(self._uploads.close)
        await self._open_archive()
        self._owned.push_async_callback(self._archive.close)
        self._notes = Notes(directory, self._logger, read_only=self._read_only)
        try:
            await self._notes.load()
        except OSError as error:
            raise await off_loop(self._storage_error, error) from error
        self._holds.follow(self._notes, lambda: self._archive.timeline.end_us)
        self._owned.push_async_callback(self._notes.close)
        self._open = OpenSegments(self._archive, self._clock, lambda: self._run)
        self._viewing = Viewing(self._archive, self._open, self._notes)
        self._workspaces = Workspaces(None if self._read_only else directory / WORK_DIRECTORY)
        self._owned.push_async_callback(self._close_clip_parts)
        self._retention = self._make_retention(self._workspaces)
        self._marking = Marking(self._notes, self._archive, self._retention, self._clock)
        self._maintainer = StorageMaintainer(
            self._archive,
            self._retention,
            self._clock,
            self._logger,
            current_run=lambda: self._run,
            on_replaced=self._directory_replaced,
            on_index_changed=self._index_changed,
        )
        await asyncio.get_running_loop().run_in_executor(None, self._workspaces.sweep)
        lost: list[SaveJob] = []
        if not self._read_only:
            outcomes = await self._archive.index.outcomes()
            known = {name: one.status is SaveStatus.PENDING for name, one in outcomes.items()}
            lost = await self._prepare_uploads(self._uploads.sweep, known) or []
        self._saves = SaveQueue(self._archive.index, self._uploads, self._holds, self._logger, self._write_queued)
        self._owned.push_async_callback(self._saves.close)
        self._owned.push_async_callback(self._requests.end)
        self._requests.started = True
        if not self._read_only:
            await self._saves.resume(lost)
            self._owned.push_async_callback(self._maintainer.take_unclosed)
        self._start_recorder(directory)
        self._maintainer.start()
        self._owned.push_async_callback(self._maintainer.close)
        if self._read_only:
            is_known = self._begins_with_index and await know_open(self._archive)
            await self._read_directory(_WALK_S if is_known else None)

    async def _load_clips(self) -> None:
        """To be awaited before the parts that make clips are used for the first time."""
        if self._made is None:
            await load_clips()

    @property
    def _clip_parts(self) -> ClipParts:
        if self._made is None:
            from videostore.store.clip_parts import ClipParts

            assert self._binary is not None
            self._made = ClipParts.make(
                self._name,
                self._storage.storage_path,
                archive=self._archive,
                open_segments=self._open,
                holds=self._holds,
                uploads=self._uploads,
                workspaces=self._workspaces,
                binary=self._binary,
                encoder=self._encoder,
                clock=self._clock,
                logger=self._logger,
            )
        return self._made

    @property
    def _clips(self) -> ClipCutter:
        return self._clip_parts.cutter

    @property
    def _delivery(self) -> Delivery:
        return self._clip_parts.delivery

    @property
    def _snapshots(self) -> Snapshots:
        return self._clip_parts.snapshots

    async def _close_clip_parts(self) -> None:
        if self._made is not None:
            await self._made.snapshots.close()

    async def _end_parts(self) -> None:
        """Finish the open segment, and end every process and task, the last part that started first."""
        self._requests.closing = True
        await self._owned.aclose()

    async def _open_archive(self) -> None:
        directory = self._storage.storage_path
        try:
            if self._read_only:
                self._archive = await Archive.open_read_only(directory, self._logger)
                return
            await off_loop(check_disk, self._storage)
            created = await off_loop(missing_directories, directory)
            try:
                if self._creates_upload_path:
                    created += await self._prepare_uploads(missing_directories, self._storage.upload_path) or []
                    await self._prepare_uploads(self._uploads.make_path, self._logger)
                self._archive = await Archive.open(directory, self._logger, holder=self._name)
            except BaseException:
                # What is refused leaves no directories behind.
                with contextlib.suppress(VideoStoreError):  # the disk of the upload path hangs
                    await self._uploads.run(remove_empty_directories, created, within_s=_POLL_S)
                raise
        except (OSError, sqlite3.Error) as error:
            raise await off_loop(self._storage_error, error) from error

    def _storage_error(self, error: OSError | sqlite3.Error) -> VideoStoreError:
        """What it means that the storage cannot be opened. Blocking."""
        directory = self._storage.storage_path
        if self._read_only and isinstance(error, FileNotFoundError):
            return VideoStoreError("storage-missing", path=directory)
        return storage_error(directory, error, read_only=self._read_only)

    async def _prepare_uploads(self, work: Callable[..., _T], argument: Any) -> _T | None:
        """Do something in the upload path. A disk that hangs there does not keep the recording from starting."""
        if self._uploads_hang:
            return None
        try:
            return await self._uploads.run(work, argument, within_s=START_LOOK_S)
        except VideoStoreError as error:
            if error.code != "upload-stalled":
                raise
            self._uploads_hang = True
            self._logger.error("Nothing can be saved to %s at the moment: %s", self._uploads.directory, error)
            return None

    def _make_retention(self, workspaces: Workspaces) -> Retention:
        return Retention(
            self._archive,
            self._storage.quota_bytes,
            open_bytes=self._open.measure,
            is_recording=lambda: self._run is not None,
            holds=self._holds,
            # What clips take while they are made is given back soon: it costs no recordings.
            shortage_bytes=lambda: shortage_bytes(self._storage, spared_bytes=workspaces.promised_bytes),
            logger=self._logger,
            on_deleted=functools.partial(note_deleted, self._notes, self._archive),
        )

    def _start_recorder(self, directory: Path) -> None:
        if self._source is None or self._encoder is None:
            return
        assert self._binary is not None
        gaps = GapNotes(self._notes, self._archive, self._clock.wall_us(), self._logger, reconfigured=self._was_closed)
        self._owned.push_async_callback(gaps.close)
        self._recorder = Recorder(
            self._source,
            self._encoder,
            binary=self._binary,
            directory=directory,
            segment_seconds=self._storage.segment_seconds,
            clock=self._clock,
            logger=self._logger,
            on_run_start=gaps.run_started,
            on_run_end=self._maintainer.take_run,
            prepare=self._maintainer.prepare,
            live=self._live,
            last_stored=self._open.last_frame_us,
        )
        recording = asyncio.create_task(self._record(self._recorder))
        self._owned.push_async_callback(end_task, recording, FFMPEG_FINISH_S + 1)
        self._owned.callback(self._note_stop, gaps, self._recorder)

    def _note_stop(self, gaps: GapNotes, recorder: Recorder) -> None:
        if recorder.run is None:
            gaps.stopping(self._clock.wall_us(), recorder.health().reason)

    async def _record(self, recorder: Recorder) -> None:
        while True:
            try:
                await recorder.record()
            except Exception:
                self._logger.exception("The recorder failed; restarting.")
            await asyncio.sleep(_RESTART_S)

    async def _read_directory(self, within_s: float | None) -> None:
        deadline = None if within_s is None else time.monotonic() + within_s
        while not self._archive.reconciled.is_set() and (deadline is None or time.monotonic() < deadline):
            if self._maintainer.walk_trouble:
                raise VideoStoreError("storage-trouble", reason=self._maintainer.walk_trouble)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._archive.reconciled.wait(), _POLL_S)

    @property
    def _run(self) -> Run | None:
        return self._recorder.run if self._recorder else None

    async def _directory_replaced(self) -> None:
        await self._notes.reload()
        if self._recorder is not None and self._recorder.run is not None:
            self._recorder.interrupt("the storage directory was removed or replaced")

    async def _index_changed(self) -> None:
        if self._read_only:
            return
        await self._saves.rewrite()
        await self._saves.resume()

    async def _write_queued(self, save: SaveJob, path: Path, begin: Callable[[], None]) -> ClipContent:
        if save.waits:
            await wait_until(self._clock, save.to_us, COVER_POLL_S)
        await self._archive.wait_until_indexed(save.from_us)
        # Otherwise `to` may be ahead of the clock only if the video was recorded before the clock was set back.
        until_us = save.to_us if save.waits else min(save.to_us, save.accepted_us + CLOCK_LEEWAY_US)
        await self._open.wait_until_covered(save.from_us, until_us)
        begin()
        asked = Range(save.from_us, save.to_us)
        await self._load_clips()
        _, content = await self._delivery.upload(asked, path, save.metadata, save.container, claimed=True)
        return content
