"""The one watchdog observer that all watched directories of this process share.

An observer of its own for each directory would cost two threads and an inotify instance more, of which a user has 128
by default.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_STOP_S = 1.0
_KINDS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    DirCreatedEvent,  # one that takes the name of a file
    DirMovedEvent,
]
"""The kernel keeps one set of kinds for each directory: a second watch with other kinds would end the first one."""


class SharedObserver:
    """Its thread runs while anything is watched. Its methods may be called in any thread, and block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observer: BaseObserver | None = None
        self._handlers: dict[ObservedWatch, list[FileSystemEventHandler]] = {}

    def watch(self, directory: Path, handler: FileSystemEventHandler) -> ObservedWatch:
        """Have `handler` called, in the observer's thread, when a file is closed or deleted, or anything is created or
        moved.

        Raises OSError if the system allows no more watches, or there is no such directory.
        """
        os.stat(directory)  # what waits for a disk that hangs must not hold the lock, for which all others wait
        real = os.path.realpath(directory)  # two names of one directory share its watch
        with self._lock:
            observer = self._observer
            if observer is None or not observer.is_alive():
                observer = Observer()
                observer.start()
            try:
                watch = observer.schedule(handler, real, event_filter=_KINDS)
            except OSError:
                if observer is not self._observer:
                    _end(observer)
                raise
            if observer is not self._observer:
                self._observer, self._handlers = observer, {}
            self._handlers.setdefault(watch, []).append(handler)
            return watch

    def unwatch(self, watch: ObservedWatch, handler: FileSystemEventHandler) -> None:
        """Call `handler` no longer. The last one ends the thread."""
        with self._lock:
            handlers = self._handlers.get(watch, [])
            if self._observer is None or handler not in handlers:
                return  # the observer of this watch has ended by itself
            handlers.remove(handler)
            if handlers:
                self._observer.remove_handler_for_watch(handler, watch)
                return
            del self._handlers[watch]
            if self._handlers:
                self._observer.unschedule(watch)
            else:
                _end(self._observer)
                self._observer = None


def _end(observer: BaseObserver) -> None:
    observer.stop()
    observer.join(timeout=_STOP_S)
