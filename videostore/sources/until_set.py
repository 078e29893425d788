"""An iterator that an event ends, even while it waits for its next item."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from videostore.base.tasks import end_task

_T = TypeVar("_T")


async def until_set(items: AsyncIterator[_T], event: asyncio.Event) -> AsyncIterator[_T]:
    """Yield items until an event is set. The caller closes `items`."""
    stopped = asyncio.ensure_future(event.wait())
    try:
        while not event.is_set():
            following = asyncio.create_task(_next(items))
            try:
                await asyncio.wait({following, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not following.done():
                    await end_task(following)
            found = () if following.cancelled() else following.result()
            if not found:
                return
            yield found[0]
    finally:
        stopped.cancel()


async def _next(items: AsyncIterator[_T]) -> tuple[()] | tuple[_T]:
    try:
        return (await items.__anext__(),)
    except StopAsyncIteration:
        return ()
