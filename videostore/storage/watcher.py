"""Watches the storage directory, and reports which file was closed, moved or deleted.

Events are a hint, not the truth: the kernel's queue overflows silently, the system may allow no more watches, and not
every system reports when a file is closed. A slow walk over the directory finds what they miss.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import ObservedWatch

from videostore.base.tasks import run_in_thread
from videostore.media.segment_names import name_time_us
from videostore.storage.shared_observer import SharedObserver

_OBSERVER = SharedObserver()


class Change(Enum):
    """What happened to a file."""

    CREATED = "created"
    CLOSED = "closed"
    DELETED = "deleted"


class Watcher:
    """Watches between `start` and `stop`, by the observer that all watchers share; calls back on the event loop."""

    def __init__(
        self,
        directory: Path,
        on_change: Callable[[Change, str], None],
        logger: logging.Logger,
        *,
        created: bool = False,
    ) -> None:
        """`on_change` gets the kind of change and the name of the file. Without `created`, of what is new only that is
        reported which has the name of a closed segment: it may be no file, and then nothing closes it.
        """
        self._directory = directory
        self._on_change = on_change
        self._logger = logger
        self._created = created
        self._watched: tuple[ObservedWatch, _Handler] | None = None

    async def start(self) -> None:
        """Start watching. If the system allows no watch, only the slow walk finds new files."""
        await run_in_thread(self._start, _Handler(asyncio.get_running_loop(), self._on_change, created=self._created))

    def _start(self, handler: _Handler) -> None:
        try:
            self._watched = _OBSERVER.watch(self._directory, handler), handler
        except OSError as error:
            self._logger.warning("The storage directory cannot be watched (%s). New files are found later.", error)

    def stop(self) -> None:
        """Stop watching. Blocking."""
        if self._watched is not None:
            _OBSERVER.unwatch(*self._watched)
            self._watched = None


class _Handler(FileSystemEventHandler):
    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_change: Callable[[Change, str], None], *, created: bool
    ) -> None:
        self._loop = loop
        self._on_change = on_change
        self._created = created

    def on_created(self, event: FileSystemEvent) -> None:
        if self._created or name_time_us(os.path.basename(os.fsdecode(event.src_path))) is not None:
            self._report(Change.CREATED, event.src_path)

    def on_closed(self, event: FileSystemEvent) -> None:
        self._report(Change.CLOSED, event.src_path)

    def on_deleted(self, event: FileSystemEvent) -> None:
        self._report(Change.DELETED, event.src_path)

    def on_moved(self, event: FileSystemEvent) -> None:
        self._report(Change.DELETED, event.src_path)
        self._report(Change.CLOSED, event.dest_path)

    def _report(self, change: Change, path: str | bytes) -> None:
        name = os.path.basename(os.fsdecode(path))
        with contextlib.suppress(RuntimeError):  # the loop was closed; an error would end the observer of all others
            self._loop.call_soon_threadsafe(self._on_change, change, name)
