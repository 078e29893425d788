"""Watches the storage directory: tells which file was closed, moved or deleted.

Events are a hint, not the truth: the kernel's queue overflows silently, watches can run out, and not every system tells
of a close. A slow walk over the directory stands behind them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver


class Change(Enum):
    """What happened to a file."""

    CREATED = "created"
    CLOSED = "closed"
    DELETED = "deleted"


class Watcher:
    """Owns an observer thread between `start` and `stop`; calls back on the event loop."""

    def __init__(
        self,
        directory: Path,
        on_change: Callable[[Change, str], None],
        logger: logging.Logger,
        *,
        created: bool = False,
    ) -> None:
        """`on_change` gets the kind of the change and the name of the file; of new ones with `created` alone."""
        self._directory = directory
        self._on_change = on_change
        self._logger = logger
        self._kinds: list[type[FileSystemEvent]] = [FileClosedEvent, FileDeletedEvent, FileMovedEvent]
        if created:
            self._kinds.append(FileCreatedEvent)
        self._observer: BaseObserver | None = None

    def start(self) -> None:
        """Begin to watch. Without any watch to be had, the recording goes on with the slow walk alone."""
        handler = _Handler(asyncio.get_running_loop(), self._on_change)
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            observer.schedule(handler, str(self._directory), event_filter=self._kinds)
            observer.start()
        except OSError as error:
            self._logger.warning("The storage directory cannot be watched (%s); new segments are found later.", error)
            if observer is not None:
                observer.stop()
            return
        self._observer = observer

    def stop(self) -> None:
        """End the thread."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=1)
            self._observer = None


class _Handler(FileSystemEventHandler):
    def __init__(self, loop: asyncio.AbstractEventLoop, on_change: Callable[[Change, str], None]) -> None:
        self._loop = loop
        self._on_change = on_change

    def on_created(self, event: FileSystemEvent) -> None:
        self._tell(Change.CREATED, event.src_path)

    def on_closed(self, event: FileSystemEvent) -> None:
        self._tell(Change.CLOSED, event.src_path)

    def on_deleted(self, event: FileSystemEvent) -> None:
        self._tell(Change.DELETED, event.src_path)

    def on_moved(self, event: FileSystemEvent) -> None:
        self._tell(Change.DELETED, event.src_path)
        self._tell(Change.CLOSED, event.dest_path)

    def _tell(self, change: Change, path: str | bytes) -> None:
        name = Path(path.decode() if isinstance(path, bytes) else path).name
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_change, change, name)
