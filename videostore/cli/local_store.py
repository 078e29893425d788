"""Reading a storage directory, from which nobody is kept by it, and in which nothing is changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from videostore.cli.terminal import bar
from videostore.media.segment_names import OPEN_SUFFIX, parse_open_name
from videostore.store.store import VideoStore

_LOOK_S = 0.1
_GROWS_WITHIN_S = 5.0
"""A segment grows once a second while a camera delivers."""
_COVER_S = 5.0
"""What was captured can be read after two seconds."""


@contextlib.asynccontextmanager
async def reading(directory: Path) -> AsyncIterator[VideoStore]:
    """A store over the directory that knows all that is in it; while a lost index is made up for, a bar tells so.

    Raises:
        VideoStoreError: it cannot be read.
    """
    store = VideoStore.open(directory)
    try:
        await _start(store)
        yield store
    finally:
        await store.close()


async def _start(store: VideoStore) -> None:
    starting = asyncio.ensure_future(store.start())
    try:
        await asyncio.wait({starting}, timeout=_LOOK_S)
        while not starting.done() and not store.unindexed_segments:  # the directory is still being listed
            await asyncio.wait({starting}, timeout=_LOOK_S)
        if total := store.unindexed_segments:
            with bar(f"Reading {total} segments that no index knows") as show:
                while not starting.done():
                    await asyncio.wait({starting}, timeout=_LOOK_S)
                    total = max(total, store.unindexed_segments)
                    show(1 - store.unindexed_segments / total)
        await starting
    finally:
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})


def is_recorded_to(directory: Path) -> bool:
    """Whether somebody writes to the directory right now: an open segment has grown in the last seconds."""
    for path in directory.glob(f"*{OPEN_SUFFIX}"):
        with contextlib.suppress(OSError):
            if parse_open_name(path.name) and abs(time.time() - path.stat().st_mtime) < _GROWS_WITHIN_S:
                return True
    return False


async def wait_until_covered(store: VideoStore, directory: Path, to_us: int) -> None:
    """Let what was captured a moment ago be written, where somebody records: the camera's last two seconds."""
    deadline = time.monotonic() + _COVER_S
    while time.monotonic() < deadline and is_recorded_to(directory):
        if any(one.to_us >= to_us for one in (await store.state()).ranges):
            return
        await asyncio.sleep(_LOOK_S)
