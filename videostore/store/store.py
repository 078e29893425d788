"""`VideoStore`: how a store is made and ends, and what it saves. What it reads is in `reading`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.base.files import AnyPath
from videostore.base.ranges import Range
from videostore.base.tasks import known_outcome
from videostore.base.time_parsing import Moment
from videostore.clips.clip_names import tag_directory
from videostore.clips.containers import check_container
from videostore.clips.limits import check_clip_room
from videostore.config import MAX_SIZE_GB, StorageConfig, parse_recording
from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Gap, Packet, Source
from videostore.storage.notes import Event
from videostore.storage.save_record import SaveJob
from videostore.store.iterable_source import IterableSource
from videostore.store.marking import AROUND_S, make_event
from videostore.store.reading import StoreReading, absolute_path
from videostore.store.recorder_socket import RecorderSocket
from videostore.store.request_range import parse_moment
from videostore.store.request_text import request_metadata, request_text
from videostore.store.results import SavedClip


class VideoStore(StoreReading):
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
        path = absolute_path(directory)
        config = parse_recording(
            name,
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
        path = absolute_path(directory)
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
            with self._lane.taken():
                await self._start_parts()
                if not self._read_only:
                    opened = await RecorderSocket.open(self._storage.storage_path, self, self._logger)
                    self._owned.push_async_callback(opened.close)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the open segment, and end every process and task. Can be called more than once."""
        with self._lane.taken():
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
        return await self._save(start, end, metadata, tags, wait=wait, container=container)

    async def _save(
        self,
        start: Moment,
        end: Moment,
        metadata: str,
        tags: Sequence[str],
        *,
        wait: bool = True,
        container: str = "mp4",
        on_name: Callable[[str], None] | None = None,
    ) -> SavedClip:
        """The same; `on_name` gets the name that the clip will have unless another program takes it."""
        asked = self._asked(start, end, keep_future=False)
        container = check_container(container)
        metadata = request_metadata(metadata)
        directory = tag_directory(tags)
        if self._read_only and not wait:
            raise RequestError("read-only-save")
        now_us = self._clock.wall_us()
        save = SaveJob("", str(directory), asked.from_us, asked.to_us, metadata, now_us, container=container)
        if not self._read_only:
            await self._run_request(self._check_room(asked, wait))
        identity = None if wait else save.identity
        async with self._uploads.reserve_path(asked.from_us, metadata, directory, identity) as path:
            save = replace(save, file_name=path.name)
            if on_name is not None:
                on_name(path.name)
            if wait:
                return await self._run_request(self._save_now(save, path))
            await self._run_request(self._saves.accept(save))
            return SavedClip(path.name, path, None)

    async def mark(
        self,
        label: str,
        at: Moment = "now",
        *,
        before_s: float = AROUND_S,
        after_s: float = AROUND_S,
        keep: bool = False,
        save: bool = False,
        metadata: str | None = None,
        tags: Sequence[str] = (),
    ) -> Event:
        """Mark a moment, with the range from `before_s` before it to `after_s` after it, which may be still to come.

        With `keep` the quota passes over the footage of the range, which counts for it all the same. With `save` the
        clip of the range is saved as soon as its end is recorded, with these tags; the label is its metadata if there
        is no other.

        Raises:
            TimestampError, RequestError: the time, the label, a length or a tag is wrong, or there are too many.
            NoRoomError: more than half of the quota would be kept, or the disk has no room for the clip.
            VideoStoreError: it cannot be noted.
        """
        self._requests.check()
        at_us = parse_moment(at, self._clock, self._archive.timeline)
        event = make_event(at_us, label, before_s, after_s, keep=keep)
        if save and event.from_us >= event.to_us:
            raise RequestError("range-empty", from_us=event.from_us, to_us=event.to_us)
        words = None if metadata is None else request_metadata(metadata)
        save_event = functools.partial(self._save_event, metadata=words, directory=tag_directory(tags))
        return await self._run_request(self._marking.mark(event, save_event if save else None))

    async def unmark(self, id: int, *, release: bool = False, cancel_save: bool = False) -> str | None:
        """Forget an event, by its `id`. Its footage is then deleted by the quota as any other. With `release` the event
        stays, and only its footage is not kept any more. With `cancel_save` no clip of it is saved, unless that has
        begun.

        Returns the name of the clip that was or will be saved of it all the same; None if none is.

        Raises:
            RequestError: there is no such event.
            VideoStoreError: that cannot be noted.
        """
        self._requests.check()
        cancel = self._saves.cancel if cancel_save else None
        return (await self._run_request(self._marking.unmark(id, release=release, cancel=cancel))).file_name

    async def _save_event(self, asked: Range, label: str, *, metadata: str | None, directory: Path) -> str:
        await self._check_room(asked, wait=False)
        words = label if metadata is None else metadata
        now_us = self._clock.wall_us()
        save = SaveJob("", str(directory), asked.from_us, asked.to_us, words, now_us, waits=True)
        async with self._uploads.reserve_path(asked.from_us, words, directory, save.identity) as path:
            await self._saves.accept(replace(save, file_name=path.name))
            return path.name

    async def save_status(self, file_name: str) -> SaveJob:
        """The state of a save, by the `file_name` that it returned.

        Raises:
            UnknownSaveError: no save with this name is known. The outcomes of the last 1000 saves are kept.
        """
        self._requests.check()
        return await self._run_request(self._saves.status(request_text(file_name, "filename")))

    async def _check_room(self, asked: Range, wait: bool) -> None:
        await self._retention.check_room(asked)
        if not wait:
            await self._load_clips()
            size_bytes, length_us = await self._clips.estimate(asked.from_us, asked.to_us)
            await self._uploads.run(check_clip_room, self._storage.upload_path, size_bytes, length_us)

    async def _save_now(self, save: SaveJob, path: Path) -> SavedClip:
        asked = Range(save.from_us, save.to_us)
        await self._load_clips()
        path, held = await self._delivery.upload(asked, path, save.metadata, save.container)
        done = replace(save, file_name=path.name, ranges=held.ranges, damaged=held.damaged)
        with contextlib.suppress(asyncio.CancelledError):  # too late: the clip is there
            await known_outcome(self._saves.finished(done))
        return SavedClip(path.name, path, held.ranges, held.damaged)


def _clips_path(directory: Path, upload_path: AnyPath | None) -> Path:
    if upload_path is None:
        return directory.parent / (directory.name + "-clips")
    return absolute_path(upload_path)
