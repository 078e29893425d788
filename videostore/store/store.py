"""`VideoStore`: how a store is made, and what can be requested from it.

It is long because the signatures and docstrings of the public class stay together for its readers.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from videostore.base.constants import KNOWN_WITHIN_S, US_PER_SECOND
from videostore.base.errors import RequestError, UnreadableRangeError, VideoStoreError, reason_of
from videostore.base.files import AnyPath, as_path
from videostore.base.ranges import MOST_DAMAGED, Range, merge_damaged
from videostore.base.slices import map_in_slices
from videostore.base.tasks import off_loop
from videostore.base.time_parsing import Moment
from videostore.clips.clip_names import tag_directory
from videostore.clips.containers import check_container
from videostore.clips.limits import check_clip_room
from videostore.clips.progress import OnProgress
from videostore.config import MAX_SIZE_GB, StorageConfig, parse_recording
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Gap, Packet, Source
from videostore.storage.open_segments import newest_has_sound, stored_timeline
from videostore.storage.save_record import SaveJob
from videostore.store.answer_budget import AnswerRoom
from videostore.store.delivery import OnDamaged, OnRanges
from videostore.store.iterable_source import IterableSource
from videostore.store.parts import StoreParts
from videostore.store.request_range import follow_range, parse_request_range
from videostore.store.request_tasks import closed_error
from videostore.store.request_text import request_metadata, request_text
from videostore.store.results import ExportedClip, FetchedClip, Health, SavedClip, StorageState

FETCH_LIMIT_BYTES = 25_165_788
"""Largest clip that `fetch` returns unless told otherwise: as base64 it fits into the largest grpc message that
viam-server passes on, (2^25 - 32 bytes of framing) x 3/4."""

_ALWAYS_US = 1 << 62
_NAMES_TOLD = 10
_T = TypeVar("_T")


class VideoStore(StoreParts):
    """Records a source into a directory and makes clips of what is stored there.

    `record` and `open` make a store. Use it as an asynchronous context manager, which starts and closes it:

        async with VideoStore.open("/var/recordings/door") as store:
            clip = await store.fetch("2026-11-22T02:50:00Z", "2026-11-22T02:51:00Z")

    Every request raises VideoStoreError if the store is not started, or is closed before the request is done.
    """

    @classmethod
    def record(
        cls,
        directory: AnyPath,
        source: Source | AsyncIterable[Packet | Gap],
        *,
        size_gb: float,
        name: str | None = None,
        upload_path: AnyPath | None = None,
        segment_seconds: float | None = None,
        min_free_gb: float | None = None,
        codec: str | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        framerate: int | None = None,
        live: bool = True,
        logger: logging.Logger | None = None,
    ) -> VideoStore:
        """A store that records a source, or an asynchronous iterable of packets, within a quota of `size_gb` GiB.

        The arguments are those of the machine config, with the same defaults, limits and units. `codec="copy"` records
        packets that are already H.264 or H.265 without re-encoding them. `name` (default: the directory's name) is the
        start of the names of saved clips, which appear in `upload_path` (default: `<directory>-clips`). If ffmpeg is
        too slow, images of a live source are dropped and counted; a source that is not `live`, such as a file, waits.

        Raises:
            ConfigError: an argument is wrong. The error calls it by its name in the machine config.
        """
        path = _absolute(directory)
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
            source=source if isinstance(source, Source) else IterableSource(source),
            live=live,
            video=config.video,
            framerate=config.framerate,
            encoder=Encoder.copy(config.framerate) if codec == "copy" else None,
            logger=logger,
        )
        store._creates_upload_path = upload_path is not None
        return store

    @classmethod
    def open(
        cls,
        directory: AnyPath,
        *,
        name: str | None = None,
        upload_path: AnyPath | None = None,
        logger: logging.Logger | None = None,
    ) -> VideoStore:
        """A read-only store over a directory, which another process may be recording into. Nothing in it is changed.

        `name` and `upload_path` are for `save`, as with `record`.
        """
        path = _absolute(directory)
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
        """Open the directory and start recording. Files that the index does not list are read in the background.

        A read-only store knows all files of the directory when this returns.

        Raises:
            VideoStoreError: the storage path or the upload path cannot be used.
            ConfigError: this ffmpeg does not have the encoder.
            FFmpegError: there is no ffmpeg that can be used.
        """
        try:
            await self._start_parts()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the open segment, and end every process and task. Can be called more than once."""
        await self._end_parts()

    @property
    def unindexed_segments(self) -> int:
        """Number of files that are still to be read into an index that was lost. Available while the store starts."""
        archive = getattr(self, "_archive", None)
        return archive.unindexed_segments if archive else 0

    async def ended(self) -> None:
        """Wait until the source has ended and all of it is recorded. The end of a live source may never come.

        Raises:
            RequestError: the store records nothing.
            VideoStoreError: the iterable failed, or its last frames could not be recorded. What came before is stored.
        """
        if self._recorder is None:
            raise RequestError("not-recording")
        await self._recorder.ended.wait()
        if isinstance(self._source, IterableSource) and self._source.error is not None:
            error = self._source.error
            raise VideoStoreError("source-failed", reason=reason_of(error)) from error
        if self._recorder.end_fault is not None:
            raise VideoStoreError("end-not-recorded", reason=self._recorder.end_fault)

    async def save(
        self,
        start: Moment,
        end: Moment,
        *,
        metadata: str = "",
        tags: Sequence[str] = (),
        wait: bool = True,
        container: str = "mp4",
    ) -> SavedClip:
        """Write the clip of [start, end) to the upload path, where it appears complete. `end` is not in the future.

        `metadata` becomes part of its name, and `tags` become `tag=…` directories, which the data manager turns into
        tags. `container` is as for `export`; the name ends in `.mp4` either way. With `wait=False` this returns at
        once, and the clip is written as soon as the recording reaches `end`.

        Raises:
            TimestampError, RequestError: a time, the range or a tag is wrong.
            NothingStoredError: nothing is stored in the range; only if `wait`.
            NoRoomError: the disk has no room for the clip, or pending clips hold nearly all of the quota.
            FFmpegError: the clip could not be made.
        """
        asked = self._asked(start, end, keep_future=False)
        check_container(container)
        metadata = request_metadata(metadata)
        directory = tag_directory(tags)
        if self._read_only and not wait:
            raise RequestError("read-only-save")
        accepted_us = self._clock.wall_us()
        save = SaveJob("", str(directory), asked.from_us, asked.to_us, metadata, accepted_us, container=container)
        if not self._read_only:
            await self._run_request(self._check_room(asked, wait))
        identity = None if wait else save.identity
        async with self._uploads.reserve_path(asked.from_us, metadata, directory, identity) as path:
            save = replace(save, file_name=path.name)
            if wait:
                return await self._run_request(self._save_now(save, path))
            await self._run_request(self._saves.accept(save))
            return SavedClip(path.name, path, None)

    async def save_status(self, file_name: str) -> SaveJob:
        """The state of a save, by the `file_name` that it returned.

        Raises:
            UnknownSaveError: no save with this name is known. The outcomes of the last 1000 saves are kept.
        """
        self._requests.check()
        return await self._run_request(self._saves.status(request_text(file_name, "filename")))

    async def export(
        self,
        start: Moment,
        end: Moment,
        path: AnyPath,
        *,
        container: str = "mp4",
        metadata: str = "",
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ExportedClip:
        """Write the clip of [start, end), of any size, to a file, which appears complete. `end` can be in the
        future, as with `fetch`.

        `container` is `mp4`, or `fmp4` for a fragmented MP4. `metadata` goes into the clip's comment tag. `on_progress`
        gets the share of the work that is done, from 0 to 1.

        Raises:
            TimestampError, RequestError: a time or the range is wrong, or the file exists, is in the storage directory,
                or is not a regular file.
            NothingStoredError: nothing is stored in the range.
            NoRoomError: the disk has no room for the clip.
            FFmpegError: the clip could not be made.
        """
        asked = self._asked(start, end)
        check_container(container)
        target = _absolute(path)
        writing = self._delivery.write(
            asked,
            target,
            metadata=request_metadata(metadata),
            container=container,
            overwrite=overwrite,
            on_progress=on_progress,
        )
        content = await self._run_request(writing)
        return ExportedClip(target, content.ranges, content.damaged)

    async def fetch(
        self,
        start: Moment,
        end: Moment,
        *,
        container: str = "mp4",
        limit_bytes: int = FETCH_LIMIT_BYTES,
    ) -> FetchedClip:
        """Return the clip of [start, end) as bytes: `mp4`, or `fmp4` for a fragmented MP4.

        If the range ends in the future, the clip holds what there is, and `ranges` says what that is.

        Raises:
            TimestampError, RequestError: a time or the range is wrong.
            NothingStoredError: nothing is stored in the range.
            TooLargeError: the clip is larger than `limit_bytes`, which is known before it is made.
            FFmpegError: the clip could not be made.
        """
        return await self._fetch(start, end, container, limit_bytes, None)

    async def _fetch(
        self, start: Moment, end: Moment, container: str, limit_bytes: int, room: AnswerRoom | None
    ) -> FetchedClip:
        """The same for the module, whose answers share a budget: the clip waits until there is room for it."""
        asked = self._asked(start, end)
        check_container(container)
        return await self._run_request(self._delivery.read(asked, container, limit_bytes, room))

    async def stream(
        self,
        start: Moment,
        end: Moment,
        *,
        metadata: str = "",
        on_ranges: OnRanges | None = None,
        on_damaged: OnDamaged | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the clip of [start, end), of any size, as a fragmented MP4, block by block as they are taken. `end` can
        be in the future, as with `fetch`.

        The clip is held neither in memory nor on disk. Until the iterator ends or is closed (`contextlib.aclosing`),
        nothing of the range is deleted. `on_ranges` is called before the first block, with what the clip holds if part
        of the range is missing, otherwise with None; `on_damaged` if any of it is damaged.

        Raises:
            TimestampError, RequestError: a time or the range is wrong; before the first block.
            NothingStoredError: nothing is stored in the range; before the first block.
            FFmpegError: the clip could not be made to its end.
        """
        asked = self._asked(start, end)
        metadata = request_metadata(metadata)
        async with contextlib.aclosing(self._delivery.stream(asked, metadata, on_ranges, on_damaged)) as blocks:
            async for block in blocks:
                yield block
                if self._requests.closing:
                    raise closed_error()

    async def _send_video(
        self, start: int, end: int | None, *, container: str = "fmp4", codec: str | None = None, follow: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """A clip for the module, which sends it block by block; see `Delivery.video`. `codec` must be that of the
        recording. Without an end it ends now; if it is to follow the recording, never.
        """
        now_us = self._clock.wall_us()
        if follow:
            self._requests.check()
            asked = follow_range(start, end, now_us)
        else:
            asked = self._asked(start, now_us if end is None else end)
        if codec is not None and (found := await self._delivery.codecs(asked)) and found != {codec}:
            expected = f"{' and '.join(sorted(found))}, as it is recorded, or none"
            raise RequestError("field-wrong", field="video_codec", value=codec, expected=expected)
        async with contextlib.aclosing(self._delivery.video(asked, container, follow=follow)) as blocks:
            # Each step is a request: when the store closes, none works on with what is closed then.
            while (block := await self._requests.run(_next_of(blocks))) is not None:
                if self._requests.closing:
                    raise closed_error()
                if block:
                    yield block

    async def state(self) -> StorageState:
        """What is stored, including the open segment, and how much space is left.

        Raises:
            VideoStoreError: the storage cannot be read at the moment, or the index is being rebuilt.
        """
        self._requests.check()
        return await self._run_request(self._state())

    async def newest_us(self) -> int | None:
        """The end of the newest picture that a clip can contain now, in microseconds UTC; None if nothing is stored.

        It is the end of the last fragment that is complete: up to about a second ago, longer with B frames.
        """
        self._requests.check()
        return await self._run_request(self._open.newest_us())

    def health(self) -> Health:
        """How well recording and storage work at the moment. Also available after `close`."""
        if not self._requests.started:
            self._requests.check()
        timeline = self._archive.timeline
        return Health(
            recorder=self._recorder.health() if self._recorder else None,
            stored_seconds=round(timeline.stored_us / US_PER_SECOND, 3),
            stored_bytes=timeline.stored_bytes + self._open.size_bytes,
            segments=timeline.segments,
            unindexed_segments=self._archive.unindexed_segments,
            damaged_files=self._archive.damaged.count,
            damaged_bytes=self._archive.damaged.size_bytes,
            damaged_names=self._archive.damaged.newest,
            unreadable_files=self._archive.reader.unreadable[-_NAMES_TOLD:],
            pending_saves=self._saves.pending,
            failed_saves=self._saves.failed,
            storage_trouble=self._maintainer.trouble,
            storage_limit=self._maintainer.limit,
            index_trouble=self._archive.index.trouble,
        )

    def _asked(self, start: Moment, end: Moment, *, keep_future: bool = True) -> Range:
        self._requests.check()
        return parse_request_range(start, end, self._clock, self._archive.timeline, keep_future=keep_future)

    async def _run_request(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await self._requests.run(work)
        except UnreadableRangeError:
            if self._maintainer.trouble:  # this is the cause, and says more
                raise VideoStoreError("storage-trouble", reason=self._maintainer.trouble) from None
            raise

    async def _check_room(self, asked: Range, wait: bool) -> None:
        await self._retention.check_room(asked)
        if not wait:
            size_bytes, length_us = await self._clips.estimate(asked.from_us, asked.to_us)
            await self._uploads.run(check_clip_room, self._storage.upload_path, size_bytes, length_us)

    async def _save_now(self, save: SaveJob, path: Path) -> SavedClip:
        asked = Range(save.from_us, save.to_us)
        path, held = await self._delivery.upload(asked, path, save.metadata, save.container)
        await self._saves.finished(replace(save, file_name=path.name, ranges=held.ranges, damaged=held.damaged))
        return SavedClip(path.name, path, held.ranges, held.damaged)

    async def _state(self) -> StorageState:
        if self._read_only:
            await self._archive.wait_until_indexed(0, KNOWN_WITHIN_S)
        async with self._archive.steady():
            opened = [one for one, _ in await self._open.find(0, _ALWAYS_US)]
            timeline = await stored_timeline(self._archive, opened)
            damaged = await self._archive.index.damaged(MOST_DAMAGED)
            sound = await newest_has_sound(self._archive, opened)
        ranges = await map_in_slices(lambda one: one, timeline.each())
        path = self._storage.storage_path
        try:
            usage = await off_loop(shutil.disk_usage, path)
        except OSError as error:
            raise VideoStoreError("storage-unreadable", path=path, reason=reason_of(error)) from error
        return StorageState(
            ranges=tuple(ranges),
            storage_path=path,
            used_bytes=self._archive.stored_bytes + await off_loop(self._open.measure),
            limit_bytes=None if self._read_only else self._storage.quota_bytes,
            device_free_bytes=usage.free,
            damaged=merge_damaged([*damaged, *(found for one in opened for found in one.damaged)])[-MOST_DAMAGED:],
            sound=sound,
        )


def _absolute(path: AnyPath) -> Path:
    return as_path(path).expanduser().absolute()


def _clips_path(directory: Path, upload_path: AnyPath | None) -> Path:
    if upload_path is None:
        return directory.parent / (directory.name + "-clips")
    return _absolute(upload_path)


async def _next_of(blocks: AsyncGenerator[bytes, None]) -> bytes | None:
    """The next block; None after the last one."""
    return await anext(blocks, None)
