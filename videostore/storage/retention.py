"""Retention: deletes the oldest segments so that the quota is kept and the device does not fill up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from videostore.base.errors import NoRoomError
from videostore.base.ranges import Range, merge_ranges
from videostore.storage.archive import Archive
from videostore.storage.retention_holds import RetentionHolds

DELETE_BATCH = 50
"""Segments deleted in one go, before other work gets its turn."""


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
        holds: RetentionHolds,
        shortage_bytes: Callable[[], int] = lambda: 0,
        logger: logging.Logger,
    ) -> None:
        """`open_bytes` returns the size of the open segments; `holds` has the ranges that clips still need.

        `shortage_bytes` returns how many bytes must be freed on the device, independent of the quota. It may block.
        """
        self._archive = archive
        self._quota_bytes = quota_bytes
        self._open_bytes = open_bytes
        self._holds = holds
        self._shortage_bytes = shortage_bytes
        self._logger = logger
        self._enforcing = asyncio.Lock()

    async def enforce(self) -> None:
        """Delete the oldest segments until the quota is kept and enough of the device is free, some at a time.

        Segments that a clip needs stay, and the next oldest are deleted instead. Where that is nearly all of the quota,
        the newest segments that were recorded since stay as well, up to a tenth of the quota (`NEWEST_SHARE`).

        Raises:
            OSError: the free space of the device cannot be read.
        """
        if self._archive.read_only:
            return
        async with self._enforcing:
            while (excess := self._archive.stored_bytes + self._open_bytes() - self._quota_bytes) > 0:
                if not await self._delete(excess, await self._newest_us()):
                    break
            # Measured once: some file systems free the space of deleted files only later.
            shortage = await asyncio.get_running_loop().run_in_executor(None, self._shortage_bytes)
            while shortage > 0 and (freed := await self._delete(shortage, None)):
                shortage -= freed

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
        if together_bytes > self._quota_bytes - self._quota_bytes // NEWEST_SHARE:
            raise NoRoomError(
                "held-fills-quota",
                held_bytes=held_bytes,
                quota_bytes=self._quota_bytes,
                size_bytes=together_bytes - held_bytes,
            )

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
        self._logger.debug("Retention: freed %d bytes.", freed_bytes)
        return freed_bytes
