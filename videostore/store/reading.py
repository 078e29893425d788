"""What can be read from a store: clips, pictures, what is stored, and how well it works."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from videostore.base.constants import KNOWN_WITHIN_S, US_PER_SECOND
from videostore.base.errors import NothingStoredError, RequestError, UnreadableRangeError, VideoStoreError, reason_of
from videostore.base.files import AnyPath, as_path
from videostore.base.ranges import MOST_DAMAGED, Range, merge_damaged
from videostore.base.slices import map_in_slices
from videostore.base.tasks import off_loop
from videostore.base.time_parsing import Moment, moment_us
from videostore.clips.clip_content import ClipContent
from videostore.clips.containers import check_container
from videostore.clips.progress import OnProgress
from videostore.storage.notes import Event, why_gap
from videostore.storage.open_segments import newest_has_sound, stored_timeline
from videostore.storage.save_record import SaveOutcome
from videostore.store.answer_budget import AnswerRoom
from videostore.store.parts import StoreParts
from videostore.store.request_range import follow_range, parse_moment, parse_request_range
from videostore.store.request_tasks import closed_error
from videostore.store.request_text import request_metadata
from videostore.store.results import ExportedClip, FetchedClip, Health, OnDamaged, OnRanges, StorageState

if TYPE_CHECKING:
    from videostore.clips.picture import Snapshot

FETCH_LIMIT_BYTES = 25_165_788
"""Largest clip that `fetch` returns unless told otherwise: as base64 it fits into the largest grpc message that
viam-server passes on, (2^25 - 32 bytes of framing) x 3/4."""

_ALWAYS_US = 1 << 62
_NAMES_TOLD = 10
_T = TypeVar("_T")


class StoreReading(StoreParts):
    """The requests of `VideoStore` that read what is stored."""

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
        container = check_container(container)
        target = absolute_path(path)
        await self._load_clips()
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
        container = check_container(container)
        await self._load_clips()
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
        await self._load_clips()
        async with contextlib.aclosing(self._delivery.stream(asked, metadata, on_ranges, on_damaged)) as blocks:
            try:
                async for block in blocks:
                    yield block
                    if self._requests.closing:
                        raise closed_error()
            except NothingStoredError as error:
                await self._explain(error)
                raise

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
        await self._load_clips()
        if codec is not None and (found := await self._delivery.codecs(asked)) and found != {codec}:
            expected = f"{' and '.join(sorted(found))}, as it is recorded, or none"
            raise RequestError("field-wrong", field="video_codec", value=codec, expected=expected)
        async with contextlib.aclosing(self._delivery.video(asked, container, follow=follow)) as blocks:
            # Each step is a request: when the store closes, none works on with what is closed then.
            while (block := await self._run_request(_next_of(blocks))) is not None:
                if self._requests.closing:
                    raise closed_error()
                if block:
                    yield block

    async def _make_videos_ready(self) -> None:
        """Do what the first video of a format that was recorded lately would wait for. To be called from time to time.

        Raises:
            VideoStoreError: the store is not started, or closed, or its index cannot be read at the moment.
        """
        self._requests.check()
        await self._load_clips()
        await self._run_request(self._clip_parts.ready_headers.make())

    @contextlib.asynccontextmanager
    async def _clip_file(self, start: Moment, end: Moment) -> AsyncIterator[tuple[Path, ClipContent]]:
        """The clip of [start, end) in a file that is removed when the context ends, for a server that sends it."""
        asked = self._asked(start, end)
        await self._load_clips()
        async with contextlib.AsyncExitStack() as stack:
            yield await self._run_request(stack.enter_async_context(self._delivery.temporary(asked)))

    async def snapshot(self, at: Moment, *, width: int | None = None, exact: bool = True) -> Snapshot:
        """The picture that the recording shows at a moment, as a JPEG: the last frame captured by then.

        `width` makes it narrower; it is never enlarged. Without `exact` it is the last keyframe up to the moment, which
        takes a fraction of the time. The last two seconds of a recording in progress are waited for.

        Raises:
            TimestampError, RequestError: the time or the width is wrong.
            NothingStoredError: nothing was recorded then; `before_us` and `after_us` are the nearest frames.
            UnreadableRangeError: the frame cannot be read.
            FFmpegError: it cannot be decoded.
        """
        self._requests.check()
        at_us = parse_moment(at, self._clock, self._archive.timeline)
        await self._load_clips()
        from videostore.clips.picture import check_width

        check_width(width)
        return await self._run_request(self._snapshots.take(at_us, width, exact=exact))

    async def events(self, start: Moment | None = None, end: Moment | None = None) -> tuple[Event, ...]:
        """The events whose ranges overlap [start, end), by their moments; of everything without the two.

        Raises:
            TimestampError, RequestError: a time is wrong, or the range is empty.
        """
        self._requests.check()
        now_us = self._clock.wall_us()
        from_us = 0 if start is None else moment_us(start, "from", now_us=now_us)
        to_us = _ALWAYS_US if end is None else moment_us(end, "to", now_us=now_us, after_us=from_us)
        if from_us >= to_us:
            raise RequestError("range-empty", from_us=from_us, to_us=to_us, clock_us=now_us)
        return await self._run_request(self._marking.events(from_us, to_us))

    async def save_outcomes(self, events: Iterable[Event]) -> dict[str, SaveOutcome]:
        """What became of the clips of events, by their file names. Of old saves it is forgotten, as of `save_status`.

        Raises:
            VideoStoreError: the index cannot be read at the moment.
        """
        self._requests.check()
        return await self._run_request(self._outcomes(events))

    async def _outcomes(self, events: Iterable[Event]) -> dict[str, SaveOutcome]:
        queued = self._saves.outcomes
        newer = {one.file_name: queued[one.file_name] for one in events if one.file_name in queued}
        return await self._viewing.outcomes(events) | newer

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
            storage_trouble=self._maintainer.trouble or self._notes.trouble,
            storage_limit=self._maintainer.limit,
            index_trouble=self._archive.index.trouble,
            oldest_us=timeline.start_us,
            gaps=timeline.gaps,
        )

    def _asked(self, start: Moment, end: Moment, *, keep_future: bool = True) -> Range:
        self._requests.check()
        return parse_request_range(start, end, self._clock, self._archive.timeline, keep_future=keep_future)

    async def _run_request(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await self._requests.run(work)
        except NothingStoredError as error:
            await self._explain(error)
            raise
        except UnreadableRangeError:
            if self._maintainer.trouble:  # this is the cause, and says more
                raise VideoStoreError("storage-trouble", reason=self._maintainer.trouble) from None
            raise

    async def _explain(self, error: NothingStoredError) -> None:
        """Add to an error why nothing was recorded then, as far as that is noted."""
        asked = error.asked
        if asked is None and error.at_us is not None:
            asked = Range(error.at_us, error.at_us + 1)
        if asked is not None and "reason" in error.fields:
            error.reason = error.fields["reason"] = why_gap(asked, await self._viewing.gaps(asked))

    async def _state(self) -> StorageState:
        if self._read_only:
            await self._notes.load()
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
            gaps=self._notes.gaps,
            events=self._notes.events,
            outcomes=await self._outcomes(self._notes.events),
            replaced=await off_loop(self._archive.replaced.look),
        )


def absolute_path(path: AnyPath) -> Path:
    """The path that a user means."""
    return as_path(path).expanduser().absolute()


async def _next_of(blocks: AsyncGenerator[bytes, None]) -> bytes | None:
    """The next block; None after the last one."""
    return await anext(blocks, None)
