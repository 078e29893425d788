"""The bounded queue between a source and ffmpeg."""

from __future__ import annotations

import asyncio
from collections import deque

from videostore.media.packet import Gap, Packet
from videostore.recording.run import Run

_END = Gap("the source has come to its end")


class Backlog:
    """What waits for ffmpeg, bounded in frames and bytes: a new frame that does not fit is dropped and counted."""

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._items: deque[Packet | Gap | Run] = deque()
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._bytes = 0
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()
        self._torn = False
        """Whether the frame before the next was dropped: what refers to it shows nothing but damage."""
        self.dropped = 0

    def put(self, item: Packet | Gap | Run) -> None:
        """Append a packet if it fits. A gap, or a run that has ended, always fits; repeated gaps are one."""
        if isinstance(item, Gap):
            if self._items and self._items[-1] is _END:
                return  # nothing comes behind the end
            if item is not _END and self._items and isinstance(self._items[-1], Gap):
                self._items.pop()
        elif isinstance(item, Run):
            pass
        elif not self._fits(item) or (self._torn and not item.keyframe):
            self._torn = True
            self.dropped += 1
            return
        else:
            self._torn = False
            self._bytes += len(item.data)
        self._items.append(item)
        self._filled.set()

    async def room_for(self, item: Packet | Gap) -> None:
        """Wait until an item fits."""
        while isinstance(item, Packet) and not self._fits(item):
            self._taken.clear()
            await self._taken.wait()

    def _fits(self, packet: Packet) -> bool:
        if not self._items:
            return True
        return len(self._items) < self._max_frames and self._bytes + len(packet.data) <= self._max_bytes

    def get_nowait(self) -> Packet | Gap | Run | None:
        """Take the oldest item, or None."""
        if not self._items:
            return None
        item = self._items.popleft()
        self._taken.set()
        if isinstance(item, Packet):
            self._bytes -= len(item.data)
        if not self._items:
            self._filled.clear()
        return item

    async def get(self) -> Packet | Gap | Run:
        """Take the oldest item, waiting for one."""
        while (item := self.get_nowait()) is None:
            await self._filled.wait()
        return item
