"""Retention: deletes the oldest segments so that the quota is kept and the device does not fill up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from videostore.base.constants import GIB, MIB
from videostore.base.errors import NoRoomError, VideoStoreError
from videostore.base.ranges import Range, merge_ranges
from videostore.base.tasks import off_loop
from videostore.storage.archive import Archive
from videostore.storage.damaged_files import DAMAGED_SHARE
from videostore.storage.retention_holds import RetentionHolds
from videostore.storage.write_room import lacking_room

DELETE_BATCH = 50
"""Segments deleted in one go, before other work gets its turn."""

_ROOM_DELETED = 16
"""Segments deleted in one attempt to make room. If that does not help, something else is using it up: then it is one at
each attempt, which is about as fast as recording."""

_LEAST_ROOM_BYTES = MIB // 4
_TOLD_S = 600.0
"""How long the status tells that segments were deleted for a limit."""

_TOLD_SHARE = 10
"""More than this part of the quota at once is no usual deletion: the quota was made smaller, or the disk is filled by
other programs. That is told before it is done."""

KEPT_SHARE = 2
"""The part of the quota that events may keep for good: the rest is for what is recorded."""
AHEAD_SHARE = 4
"""The part of the quota that is left at most for the segment that is being written."""
NEWEST_SHARE = 10
"""The part of the quota that is left for the newest segments whatever clips hold: those are asked for most."""


class Retention:
    """Deletes segments of one archive. Only segments in the index are deleted."""

    def __init__(
        self,
        archive: Archive,
        quota_bytes: int,
        *,
        open_bytes: Callable[[], int],
        is_recording: Callable[[], bool] = lambda: False,
        holds: RetentionHolds,
        shortage_bytes: Callable[[], int] = lambda: 0,
        logger: logging.Logger,
        on_deleted: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`open_bytes` returns the size of the open segments; `holds` has the ranges that clips still need. Where
        `is_recording`, there is room for the open segment before it is written.

        `shortage_bytes` returns how many bytes must be freed on the device, independent of the quota. Both may block.
        `on_deleted` is awaited after segments were deleted.
        """
        self._archive = archive
        self._quota_bytes = quota_bytes
        self._open_bytes = open_bytes
        self._is_recording = is_recording
        self._holds = holds
        self._shortage_bytes = shortage_bytes
        self._logger = logger
        self._on_deleted = on_deleted
        self._deleted = False
        """Whether segments were deleted that `on_deleted` does not know of."""
        self._telling = True
        """Whether to log that more than usual is deleted."""
        self._enforcing = asyncio.Lock()
        self._room_segments = _ROOM_DELETED
        """How many segments the next attempt to make room may delete."""
        self._limit: VideoStoreError | None = None
        self._limited_at = 0.0

    @property
    def _limit_bytes(self) -> int:
        return self._quota_bytes + (self._quota_bytes // KEPT_SHARE if self._holds.unknown else 0)

    @property
    def _ahead_bytes(self) -> int:
        """Room for the open segment, so that the quota is also kept where it is looked at late."""
        return min(self._archive.newest_bytes, self._quota_bytes // AHEAD_SHARE) if self._is_recording() else 0

    @property
    def limit(self) -> VideoStoreError | None:
        """What limits the storage besides the quota and the free bytes; None if that was not met lately."""
        return self._limit if time.monotonic() - self._limited_at < _TOLD_S else None

    async def enforce(self) -> None:
        """Delete the oldest segments until the quota is kept and enough of the device is free, some at a time.

        Segments that a clip needs stay, and the next oldest are deleted instead. Where that is nearly all of the quota,
        the newest segments that were recorded since stay as well, up to a tenth of the quota (`NEWEST_SHARE`). While it
        is not known what is kept, half of the quota is added to it: so much may be kept (`KEPT_SHARE`).

        Raises:
            OSError: the free space of the device cannot be read.
        """
        if self._archive.read_only:
            await off_loop(self._open_bytes)
            return
        loop = asyncio.get_running_loop()
        damaged = self._archive.damaged
        async with self._enforcing:
            open_bytes, deleted, shortage = await off_loop(self._look)
            if deleted:
                self._logger.warning("Deleted the %d oldest files that could not be read: they had no room.", deleted)
            while (excess := self._archive.stored_bytes + max(open_bytes, self._ahead_bytes) - self._limit_bytes) > 0:
                shortage = None
                self._tell(excess, f"the quota is {self._quota_bytes / GIB:.2f} GiB")
                if not await self._delete(excess, await self._newest_us()):
                    break
                open_bytes = await off_loop(self._open_bytes)
            # Measured once: some file systems free the space of deleted files only later.
            if shortage is None:
                shortage = await off_loop(self._shortage_bytes)
            shortage += self._ahead_bytes
            self._tell(shortage, "the device has too little room")
            while shortage > 0 and (freed := await self._delete(shortage, None)):
                shortage -= freed
            if shortage > 0 and damaged.size_bytes:
                await loop.run_in_executor(None, damaged.trim, max(0, damaged.size_bytes - shortage))
        if self._on_deleted is not None and self._deleted:
            self._deleted = False
            await self._on_deleted()

    def _tell(self, excess_bytes: int, because: str) -> None:
        """Log that much more than usual is going to be deleted; nothing while that is going on."""
        stored_bytes = self._archive.stored_bytes
        if excess_bytes <= max(self._quota_bytes // _TOLD_SHARE, self._archive.newest_bytes * 2) or not stored_bytes:
            self._telling = True
        elif self._telling:
            self._telling = False
            gib = min(excess_bytes, stored_bytes) / GIB, stored_bytes / GIB
            self._logger.warning("Deleting the oldest recordings, %.2f of %.2f GiB: %s.", *gib, because)

    def _look(self) -> tuple[int, int, int | None]:
        """The size of the open segments, the number of files that were deleted because they could not be read, and the
        shortage; None if that cannot be read. One call for all: each costs more than what it does. Blocking.

        Raises:
            OSError: a file cannot be deleted.
        """
        open_bytes = self._open_bytes()
        deleted = self._archive.damaged.trim(round(self._quota_bytes * DAMAGED_SHARE))
        try:
            return open_bytes, deleted, self._shortage_bytes()
        except OSError:  # the quota is kept all the same
            return open_bytes, deleted, None

    async def make_room(self) -> None:
        """Delete the oldest segments until the next one can be written, if the file system says that it is full.

        That is tried, because some limits show in no number: a quota of the file system, or its number of files. An
        attempt deletes few segments: room that other programs use up cannot be made by deleting everything.
        """
        if self._archive.read_only:
            return
        loop = asyncio.get_running_loop()
        async with self._enforcing:
            timeline = self._archive.timeline
            usual_bytes = max(self._archive.newest_bytes, timeline.stored_bytes // max(timeline.segments, 1))
            wanted_bytes = max(_LEAST_ROOM_BYTES, usual_bytes + usual_bytes // 2)
            deleted, reason = 0, None
            while (
                lack := await loop.run_in_executor(None, lacking_room, self._archive.directory, wanted_bytes)
            ) is not None:
                reason = lack
                if deleted >= self._room_segments or not await self._delete_one():
                    self._room_segments = 1
                    break
                deleted += 1
            else:
                self._room_segments = _ROOM_DELETED
        if reason is not None:
            self._limit = VideoStoreError("storage-limited", path=self._archive.directory, reason=reason)
            self._limited_at = time.monotonic()
            self._logger.warning("%s Deleted: %d.", self._limit, deleted)

    async def _delete_one(self) -> bool:
        deleted = await self._archive.delete_oldest(1, 1, lambda: self._holds.ranges) > 0
        self._deleted = self._deleted or deleted
        return deleted

    async def check_room(self, asked: Range) -> None:
        """Refuse to hold more while clips that are not written yet hold nearly all of the quota.

        Raises:
            NoRoomError: too little would be left for what is recorded.
        """
        held = self._holds.ranges
        with_it = merge_ranges([*held, asked])
        if not held or with_it == held:
            return
        held_bytes, together_bytes = await self._size_bytes(held), await self._size_bytes(with_it)
        if together_bytes > self._limit_bytes - self._quota_bytes // NEWEST_SHARE:
            raise NoRoomError(
                "held-fills-quota",
                held_bytes=held_bytes,
                quota_bytes=self._quota_bytes,
                size_bytes=together_bytes - held_bytes,
            )

    async def check_keep(self, kept: Sequence[Range], asked: Range) -> None:
        """Refuse to keep more than half of the quota for good.

        Raises:
            NoRoomError: with this range it would be more.
        """
        limit_bytes = self._quota_bytes // KEPT_SHARE
        kept_bytes, together_bytes = await self.kept_bytes(kept), await self.kept_bytes([*kept, asked])
        if together_bytes > limit_bytes:
            raise NoRoomError(
                "kept-fills-half",
                kept_bytes=kept_bytes,
                limit_bytes=limit_bytes,
                size_bytes=together_bytes - kept_bytes,
            )

    async def kept_bytes(self, ranges: Sequence[Range]) -> int:
        """About how many bytes ranges take, of which a part may not be recorded yet, in whole segments."""
        timeline = self._archive.timeline
        usual_us = timeline.stored_us // max(timeline.segments, 1)
        end_us = timeline.end_us or 0
        merged = merge_ranges(list(ranges), usual_us)
        to_come_us = sum(max(0, one.to_us - max(one.from_us, end_us)) for one in merged)
        return await self._size_bytes(merged) + to_come_us * timeline.stored_bytes // max(timeline.stored_us, 1)

    async def _size_bytes(self, ranges: Sequence[Range]) -> int:
        return sum([(await self._archive.index.amount(one.from_us, one.to_us))[0] for one in ranges])

    async def _newest_us(self) -> int | None:
        """Where the newest segments begin that are kept while clips hold others; None if nothing is held.

        What was recorded before the clips were requested is not among them.
        """
        since_us = self._holds.since_us
        if since_us is None:
            return None
        newest_us = await self._archive.index.start_of_newest(max(1, self._quota_bytes // NEWEST_SHARE))
        return max(since_us, newest_us or since_us)

    async def _delete(self, wanted_bytes: int, before_us: int | None) -> int:
        freed_bytes = await self._archive.delete_oldest(
            wanted_bytes, DELETE_BATCH, lambda: self._holds.ranges, before_us
        )
        self._deleted = self._deleted or freed_bytes > 0
        self._logger.debug("Retention: freed %d bytes.", freed_bytes)
        return freed_bytes
