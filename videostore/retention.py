"""Retention: keeps what is stored within the quota, the oldest segments go first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from videostore.archive import Archive
from videostore.const import DELETE_BATCH


class Retention:
    """Deletes segments of one archive. Deletes nothing that the index does not know."""

    def __init__(
        self,
        archive: Archive,
        quota_bytes: int,
        *,
        open_bytes: Callable[[], int],
        in_use: Callable[[str], bool],
        shortage_bytes: Callable[[], int] = lambda: 0,
        logger: logging.Logger,
    ) -> None:
        """`open_bytes` tells the size of what is being written, `in_use` whether a cut needs a segment.

        `shortage_bytes` tells what the device lacks of the room that must stay free, whatever the quota says.
        """
        self._shortage_bytes = shortage_bytes
        self._archive = archive
        self._quota_bytes = quota_bytes
        self._open_bytes = open_bytes
        self._in_use = in_use
        self._logger = logger
        self._enforcing = asyncio.Lock()

    async def enforce(self) -> None:
        """Delete the oldest segments until the quota holds, in slices; segments that a cut needs wait for its end."""
        async with self._enforcing:
            while (excess := self._excess_bytes()) > 0:
                deleted = await self._archive.delete_oldest(excess, DELETE_BATCH, self._in_use)
                if not deleted:
                    return
                self._logger.debug("Retention: deleted %d segments.", deleted)

    def _excess_bytes(self) -> int:
        over_quota = self._archive.timeline.stored_bytes + self._open_bytes() - self._quota_bytes
        return max(over_quota, self._shortage_bytes())
