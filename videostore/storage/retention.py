"""Retention: deletes the oldest segments so that the quota is kept and the device does not fill up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from videostore.base.tasks import off_loop
from videostore.storage.archive import Archive
from videostore.storage.retention_holds import RetentionHolds

DELETE_BATCH = 50
"""Segments deleted in one go, before other work gets its turn."""


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

        `shortage_bytes` returns how many bytes must be freed on the device, independent of the quota. Both may block.
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

        Segments that a clip needs stay, and the next oldest are deleted instead. To keep the quota, only segments are
        deleted that were recorded before that clip was requested: a clip of everything does not cost new recordings.

        Raises:
            OSError: the free space of the device cannot be read.
        """
        open_bytes = await off_loop(self._open_bytes)
        if self._archive.read_only:
            return
        async with self._enforcing:
            while (excess := self._archive.stored_bytes + open_bytes - self._quota_bytes) > 0:
                if not await self._delete(excess, self._holds.since_us):
                    break
                open_bytes = await off_loop(self._open_bytes)
            # Measured once: some file systems free the space of deleted files only later.
            shortage = await off_loop(self._shortage_bytes)
            while shortage > 0 and (freed := await self._delete(shortage, None)):
                shortage -= freed

    async def _delete(self, wanted_bytes: int, before_us: int | None) -> int:
        freed_bytes = await self._archive.delete_oldest(wanted_bytes, DELETE_BATCH, self._holds.ranges, before_us)
        self._logger.debug("Retention: freed %d bytes.", freed_bytes)
        return freed_bytes
