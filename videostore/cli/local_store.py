"""Read-only access to a storage directory; does not lock or change it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from videostore.media.segment_names import OPEN_SUFFIX, parse_open_name
from videostore.storage.directory_lock import is_locked
from videostore.store.store import VideoStore

_POLL_S = 0.1
_GROWS_WITHIN_S = 5.0
"""An open segment grows once a second while the camera sends images."""
_COVER_S = 5.0
"""What was captured can be read after about two seconds."""


@contextlib.asynccontextmanager
async def open_reader(directory: Path) -> AsyncIterator[VideoStore]:
    """A read-only store over the directory, with every segment indexed. Tells how far it is while an index is rebuilt.

    Raises:
        VideoStoreError: the directory cannot be read.
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
        await asyncio.wait({starting}, timeout=_POLL_S)
        while not starting.done() and not store.unindexed_segments:  # the directory is still being listed
            await asyncio.wait({starting}, timeout=_POLL_S)
        if total := store.unindexed_segments:
            await _show_indexing(store, starting, total)
        await starting
    finally:
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})


async def _show_indexing(store: VideoStore, starting: asyncio.Future[None], total: int) -> None:
    from videostore.cli.terminal import progress_shown  # seldom needed, and slow to import

    with progress_shown(f"Reading {total} segments that are not in the index") as show:
        while not starting.done():
            await asyncio.wait({starting}, timeout=_POLL_S)
            total = max(total, store.unindexed_segments)
            show(1 - store.unindexed_segments / total)


def is_being_recorded(directory: Path) -> bool:
    """Whether a recording is in progress: a recorder has the directory, and an open segment has just grown."""
    if not is_locked(directory):
        return False
    for path in directory.glob(f"*{OPEN_SUFFIX}"):
        with contextlib.suppress(OSError):
            if parse_open_name(path.name) and abs(time.time() - path.stat().st_mtime) < _GROWS_WITHIN_S:
                return True
    return False


async def wait_until_covered(store: VideoStore, directory: Path, to_us: int) -> None:
    """While a recording is in progress, wait until its last two seconds are written, up to the end of a range."""
    deadline = time.monotonic() + _COVER_S
    while time.monotonic() < deadline and is_being_recorded(directory):
        if any(one.to_us >= to_us for one in (await store.state()).ranges):
            return
        await asyncio.sleep(_POLL_S)
