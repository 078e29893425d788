"""An iterator that an event ends, even while it waits for its next item."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from videostore.base.tasks import end_task

_T = TypeVar("_T")

_AHEAD = 16
"""So many items are taken before they are asked for: one task takes them all, since a task for each costs more."""


async def until_set(items: AsyncIterator[_T], event: asyncio.Event) -> AsyncIterator[_T]:
    """Yield items until an event is set. The caller closes `items`."""
    if event.is_set():
        return
    queue: _Ahead[_T] = _Ahead()
    taking = asyncio.create_task(queue.take(items))
    stopped = asyncio.create_task(event.wait())
    for task in (taking, stopped):
        task.add_done_callback(queue.wake)
    try:
        while True:
            if queue.items:
                queue.room.set()
                yield queue.items.popleft()
            elif taking.done():
                if not taking.cancelled():
                    taking.result()
                return
            elif event.is_set():
                return
            else:
                queue.changed.clear()
                await queue.changed.wait()
    finally:
        stopped.cancel()
        await end_task(taking)


class _Ahead(Generic[_T]):
    """The items that were taken and not yielded yet."""

    def __init__(self) -> None:
        self.items: deque[_T] = deque()
        self.changed = asyncio.Event()
        self.room = asyncio.Event()

    async def take(self, items: AsyncIterator[_T]) -> None:
        async for item in items:
            self.items.append(item)
            self.changed.set()
            while len(self.items) >= _AHEAD:
                self.room.clear()
                await self.room.wait()

    def wake(self, _: object) -> None:
        self.changed.set()
