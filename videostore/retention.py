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
        logger: logging.Logger,
    ) -> None:
        """`open_bytes` tells the size of what is being written, `in_use` whether a cut needs a segment."""
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
                batch = []
                for segment in await self._archive.index.oldest(DELETE_BATCH):
                    if excess <= 0 or self._in_use(segment.file_name):
                        break
                    batch.append(segment)
                    excess -= segment.size_bytes
                if not batch:
                    return
                await self._archive.delete_oldest(batch)
                self._logger.debug("Quota: deleted %d segments, the last %s.", len(batch), batch[-1].file_name)

    def _excess_bytes(self) -> int:
        return self._archive.timeline.stored_bytes + self._open_bytes() - self._quota_bytes
