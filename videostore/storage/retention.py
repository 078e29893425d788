"""Retention: keeps what is stored within the quota, and the device from filling up; the oldest segments go first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from videostore.storage.archive import Archive
from videostore.storage.retention_holds import RetentionHolds

DELETE_BATCH = 50
"""Segments deleted in one go before other work gets its turn."""


class Retention:
    """Deletes segments of one archive. Deletes nothing that the index does not know."""

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
        """`open_bytes` tells the size of what is being written, `holds` what clips still need.

        `shortage_bytes` tells what the device lacks of the room that must stay free, whatever the quota says.
        """
        self._archive = archive
        self._quota_bytes = quota_bytes
        self._open_bytes = open_bytes
        self._holds = holds
        self._shortage_bytes = shortage_bytes
        self._logger = logger
        self._enforcing = asyncio.Lock()

    async def enforce(self) -> None:
        """Delete the oldest segments until the quota holds and the device has its room, in slices.

        What a clip needs stays, and the next oldest goes in its place: for the sake of the quota only what was recorded
        before that clip was asked for, so that one that needs all of it costs no new recording.
        """
        if self._archive.read_only:
            return
        async with self._enforcing:
            while (excess := self._archive.stored_bytes + self._open_bytes() - self._quota_bytes) > 0:
                if not await self._delete(excess, self._holds.since_us):
                    break
            # Once, and not until the system tells of the room: some file systems free it only a while later.
            shortage = await asyncio.get_running_loop().run_in_executor(None, self._shortage_bytes)
            while shortage > 0 and (freed := await self._delete(shortage, None)):
                shortage -= freed

    async def _delete(self, wanted_bytes: int, before_us: int | None) -> int:
        freed_bytes = await self._archive.delete_oldest(wanted_bytes, DELETE_BATCH, self._holds.ranges, before_us)
        self._logger.debug("Retention: freed %d bytes.", freed_bytes)
        return freed_bytes
