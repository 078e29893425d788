"""The bounded queue between a source and ffmpeg."""

from __future__ import annotations

import asyncio
from collections import deque

from videostore.base.constants import MIB, STOPPED
from videostore.media.packet import Gap, Packet, Source, StoppableSource
from videostore.recording.run import Run

BACKLOG_FRAMES = 20
BACKLOG_BYTES = 32 * MIB
"""What may wait for a slow ffmpeg: one second at the default rate. Beyond either limit new frames are dropped and
counted."""
BACKLOG_CODED_FRAMES = 300
"""So many where frames need those before them, so that a dropped one costs all up to the next keyframe. They are small,
and come several at a time."""

END_OF_SOURCE = Gap("the source ended")
"""The last item of a source that ends."""


def gap_reason(gap: Gap, source: Source, before: str) -> str:
    """Why nothing is recorded from here on. `before` is why nothing is already; empty if something is."""
    if gap is not END_OF_SOURCE:
        return gap.reason
    if before:  # a source that ends while nothing is recorded does not end what is wrong
        return before
    return STOPPED if isinstance(source, StoppableSource) and source.told_to_end else gap.reason


class Backlog:
    """Items waiting for ffmpeg, bounded in frames and bytes: a new frame that does not fit is dropped and counted."""

    def __init__(self, max_frames: int = BACKLOG_FRAMES, max_bytes: int = BACKLOG_BYTES) -> None:
        self._items: deque[Packet | Gap | Run] = deque()
        self._max_frames = max_frames
        self._max_coded_frames = max(max_frames, BACKLOG_CODED_FRAMES)
        self._max_bytes = max_bytes
        self._bytes = 0
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()
        self._arrived = asyncio.Event()
        self._incomplete = False
        """Whether the frame before the next was dropped: frames that refer to it would be damaged."""
        self.dropped = 0

    def put(self, item: Packet | Gap | Run) -> None:
        """Append a packet if it fits. A gap and a run that has ended always fit; of repeated gaps the last is kept."""
        if isinstance(item, Gap):
            if self._items and self._items[-1] is END_OF_SOURCE:
                return
            if item is not END_OF_SOURCE and self._items and isinstance(self._items[-1], Gap):
                self._items.pop()
        elif isinstance(item, Run):
            pass
        elif not self._fits(item) or (self._incomplete and not item.keyframe):
            self._incomplete = True
            self.dropped += 1
            return
        else:
            self._incomplete = False
            self._bytes += len(item.data)
            self._arrived.set()
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
        most = self._max_coded_frames if packet.format.parameter_sets else self._max_frames
        return len(self._items) < most and self._bytes + len(packet.data) <= self._max_bytes

    async def holds_packet(self) -> None:
        """Wait until a packet is in it. A gap or the end of a run may be before that."""
        while not self._bytes:
            self._arrived.clear()
            await self._arrived.wait()

    @property
    def filled(self) -> bool:
        """Whether an item is waiting."""
        return bool(self._items)

    @property
    def first(self) -> Packet | Gap | Run | None:
        """The oldest item, which stays; None if there is none."""
        return self._items[0] if self._items else None

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
