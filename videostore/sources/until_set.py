"""The packets of a stream until an event ends it, even while it waits for the next ones."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Sequence

from videostore.base.tasks import end_task
from videostore.media.packet import Gap, Packet
from videostore.sources.last_frames import LastFrames

_AHEAD = 4
"""So many batches are taken before they are asked for: one task takes them all, since a task for each costs more."""

_Batch = Sequence[Packet | Gap]


async def until_set(batches: AsyncIterator[_Batch], event: asyncio.Event) -> AsyncIterator[_Batch]:
    """Yield batches until an event is set, then frames that are shown before their last. `batches` stays open."""
    if event.is_set():
        return
    queue, last = _Ahead(), LastFrames()
    taking = asyncio.create_task(queue.take(batches))
    stopped = asyncio.create_task(event.wait())
    for task in (taking, stopped):
        task.add_done_callback(queue.wake)
    try:
        while True:
            if queue.batches:
                queue.room.set()
                batch = queue.batches.popleft()
                ending = event.is_set() and last.patience_s > 0
                passed = _until_shown(batch, last) if ending else batch
                if passed:
                    for item in passed:
                        last.passed(item)
                    yield passed
                if len(passed) < len(batch):
                    return
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


def _until_shown(batch: _Batch, last: LastFrames) -> _Batch:
    """What is shown before the last frame so far, up to the first item that is not."""
    return tuple(itertools.takewhile(last.has, batch))


async def _comes(changed: asyncio.Event, within_s: float) -> bool:
    if within_s:
        with contextlib.suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(changed.wait(), within_s)
    return False


class _Ahead:
    """The batches that were taken and not yielded yet."""

    def __init__(self) -> None:
        self.batches: deque[_Batch] = deque()
        self.changed = asyncio.Event()
        self.room = asyncio.Event()

    async def take(self, batches: AsyncIterator[_Batch]) -> None:
        async for batch in batches:
            self.batches.append(batch)
            self.changed.set()
            while len(self.batches) >= _AHEAD:
                self.room.clear()
                await self.room.wait()

    def wake(self, _: object) -> None:
        self.changed.set()
