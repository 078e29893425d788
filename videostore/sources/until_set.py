"""The items of a stream until an event ends it, even while it waits for the next one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from videostore.base.tasks import end_task
from videostore.media.packet import Gap, Packet
from videostore.sources.last_frames import LastFrames

_AHEAD = 16
"""So many items are taken before they are asked for: one task takes them all, since a task for each costs more."""


async def until_set(items: AsyncIterator[Packet | Gap], event: asyncio.Event) -> AsyncIterator[Packet | Gap]:
    """Yield items until an event is set, then frames that are shown before the last of these; `items` stays open."""
    if event.is_set():
        return
    queue, last = _Ahead(), LastFrames()
    taking = asyncio.create_task(queue.take(items))
    stopped = asyncio.create_task(event.wait())
    for task in (taking, stopped):
        task.add_done_callback(queue.wake)
    try:
        while True:
            if queue.items:
                queue.room.set()
                item = queue.items.popleft()
                if event.is_set() and last.patience_s and not last.has(item):
                    return
                last.passed(item)
                yield item
            elif taking.done():
                if not taking.cancelled():
                    taking.result()
                return
            else:
                queue.changed.clear()
                if not event.is_set():
                    await queue.changed.wait()
                elif not await _comes(queue.changed, last.patience_s):
                    return
    finally:
        stopped.cancel()
        await end_task(taking)


async def _comes(changed: asyncio.Event, within_s: float) -> bool:
    if within_s:
        with contextlib.suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(changed.wait(), within_s)
    return False


class _Ahead:
    """The items that were taken and not yielded yet."""

    def __init__(self) -> None:
        self.items: deque[Packet | Gap] = deque()
        self.changed = asyncio.Event()
        self.room = asyncio.Event()

    async def take(self, items: AsyncIterator[Packet | Gap]) -> None:
        async for item in items:
            self.items.append(item)
            self.changed.set()
            while len(self.items) >= _AHEAD:
                self.room.clear()
                await self.room.wait()

    def wake(self, _: object) -> None:
        self.changed.set()
