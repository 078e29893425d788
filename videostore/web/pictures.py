"""Pictures: JPEGs of moments, of which those that were made last are kept."""

from __future__ import annotations

from collections import OrderedDict

from videostore.base.constants import MIB
from videostore.clips.picture import Snapshot
from videostore.store.store import VideoStore
from videostore.web.parts import PartTables

_KEPT_BYTES = 16 * MIB
"""Thumbnails of about 10 KB: a strip of a day for each quarter of a minute."""

_Key = tuple[str, int, int | None, bool]


class Pictures:
    """Makes the pictures of one recorder."""

    def __init__(self, store: VideoStore, tables: PartTables) -> None:
        self._store = store
        self._tables = tables
        self._kept: OrderedDict[_Key, Snapshot] = OrderedDict()
        self._kept_bytes = 0

    async def take(self, at_us: int, width: int | None, *, exact: bool) -> tuple[Snapshot, bool]:
        """The picture of a moment, as `VideoStore.snapshot`; and whether it will always be the same.

        Raises:
            VideoStoreError: as `VideoStore.snapshot`.
        """
        place = await self._place(at_us, exact=exact)
        if place is None:
            return await self._store.snapshot(at_us, width=width, exact=exact), False
        key = (*place, width, exact)
        found = self._kept.get(key)
        if found is None:
            found = await self._store.snapshot(at_us, width=width, exact=exact)
            self._keep(key, found)
        else:
            self._kept.move_to_end(key)
        return found, True

    async def _place(self, at_us: int, *, exact: bool) -> tuple[str, int] | None:
        """What all moments with the same picture have in common: a segment, and where it can be entered before them.

        None if the segment may change.
        """
        found = await self._store._viewing.segments(at_us, at_us + 1, 2)
        if len(found) != 1 or found[0].is_open:
            return None
        if exact:
            return str(found[0].key), at_us
        table = await self._tables.read(found[0])
        if table is None:
            return str(found[0].key), at_us
        starts_us = [part.start_us for part in table.parts if part.keyed and part.start_us <= at_us]
        return str(found[0].key), max(starts_us, default=at_us)

    def _keep(self, key: _Key, picture: Snapshot) -> None:
        self._kept[key] = picture
        self._kept_bytes += len(picture.jpeg)
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._kept_bytes -= len(gone.jpeg)
