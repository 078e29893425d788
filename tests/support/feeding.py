"""Feeds a store that records, and waits until the frames have arrived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from tests.support.recording import Feed, packet, until
from videostore import Gap, Packet, VideoStore


async def all_at_once(times: list[int]) -> AsyncIterator[Packet | Gap]:
    """A source that has all its frames already, as a file has."""
    for time_us in times:
        yield packet(time_us)


async def feed_and_settle(store: VideoStore, feed: Feed, times: list[int]) -> None:
    """Record frames; returns when ffmpeg has all of them."""
    feed.put(*map(packet, times))
    await until(lambda: store._run is not None and store._run.last_us == times[-1])


async def wait_for_cover(store: VideoStore, time_us: int) -> None:
    """Wait until what is stored reaches a time, including the open segment."""
    deadline = time.monotonic() + 150
    while not (ranges := (await store.state()).ranges) or ranges[-1].to_us < time_us:
        assert time.monotonic() < deadline, ranges
        await asyncio.sleep(0.02)
