"""The one watchdog observer that all watched directories of this process share.

An observer of its own for each directory would cost two threads and an inotify instance more, of which a user has 128
by default.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_STOP_S = 1.0


class SharedObserver:
    """Its thread runs while anything is watched. Its methods may be called in any thread, and block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._observer: BaseObserver | None = None
        self._handlers: dict[ObservedWatch, list[FileSystemEventHandler]] = {}

    def watch(
        self, directory: Path, handler: FileSystemEventHandler, kinds: Sequence[type[FileSystemEvent]]
    ) -> ObservedWatch:
        """Have `handler` called, in the observer's thread, for these kinds of events.

        Raises OSError if the system allows no more watches, or there is no such directory.
        """
        os.stat(directory)  # what waits for a disk that hangs must not hold the lock, for which all others wait
        with self._lock:
            observer = self._observer
            if observer is None or not observer.is_alive():
                observer = Observer()
                observer.start()
            try:
                watch = observer.schedule(handler, str(directory), event_filter=list(kinds))
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
