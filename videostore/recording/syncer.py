"""Forces what runs have written to disk, again and again. All recorders of a process share the threads that do it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from videostore.base.beat import until_beat
from videostore.recording.run import Run

SYNC_INTERVAL_S = 0.5
"""How often the open segment is synced to disk. A power cut loses the frames of one beat, one keyframe interval, and
what was written since the last sync: less than 2 s in all."""
_AFTER_BEAT_S = 0.25
"""So long after frames were read with a beat: by then ffmpeg has written them."""
_HELD_UP_S = 0.03
"""A disk that takes longer has the next recorder synced beside it."""
_IDLE_THREADS = 2


class Syncer:
    """Has the open segment of a recorder's current run synced, until `stop`.

    By threads, so that the event loop need not wake up for it. Nothing waits for them: a disk may hang.
    """

    def __init__(self, current_run: Callable[[], Run | None], logger: logging.Logger) -> None:
        """Start it. `current_run` is called in a thread."""
        self._current_run = current_run
        self._logger = logger
        self.syncing = False
        """For the threads: whether one of them is at it."""
        _THREADS.add(self)

    def stop(self) -> None:
        """Let it end, after a sync that has begun."""
        _THREADS.remove(self)

    def sync(self) -> None:
        """Sync once. Blocking."""
        try:
            run = self._current_run()
            if run is not None:
                run.sync()
        except OSError as error:
            self._logger.warning("The open segment could not be synced to disk: %s", error)
        except Exception:  # the others' segments depend on this thread
            self._logger.exception("The open segment could not be synced to disk.")


class _Threads:
    """Syncs one recorder after the other at each beat: by one thread while disks are fast. A second one waits.

    While a disk holds a thread up, the second one does what is left, and another one waits: so a disk that hangs costs
    a thread, and no other recorder its sync.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._syncers: set[Syncer] = set()
        self._due: deque[Syncer] = deque()
        self._due_s = 0.0
        """Since when they are due, or when the last one was begun."""
        self._beat_s = 0.0
        """When the next beat is, on the monotonic clock."""
        self._idle = 0
        self._busy = 0
        self._led = False
        """Whether one of the idle threads waits for the next beat, and the others for a call."""

    def add(self, syncer: Syncer) -> None:
        """Sync a recorder from the next beat on.

        Raises:
            RuntimeError: the system allows no more threads at the moment.
        """
        with self._changed:
            if not self._idle:
                self._beat_s = self._beat_s if self._busy else _next_beat_s()
                self._start()
            self._syncers.add(syncer)

    def remove(self, syncer: Syncer) -> None:
        """Sync a recorder no longer. The last one ends the threads."""
        with self._changed:
            self._syncers.discard(syncer)
            if not self._syncers:
                self._due.clear()
                self._changed.notify_all()

    def _start(self) -> None:
        threading.Thread(target=self._run, name="videostore sync", daemon=True).start()
        self._idle += 1  # it waits for the lock

    def _run(self) -> None:
        while (syncer := self._wait()) is not None:
            while syncer is not None:
                syncer.sync()
                syncer = self._after(syncer)

    def _wait(self) -> Syncer | None:
        """The next one to sync; None if this thread is not needed any more."""
        with self._changed:
            while self._syncers and self._idle <= _IDLE_THREADS:
                if self._led:
                    self._changed.wait()
                    continue
                now_s = time.monotonic()
                if now_s >= self._beat_s:
                    self._beat_s, self._due_s = _next_beat_s(), now_s
                    waiting = set(self._due)
                    self._due.extend(one for one in self._syncers - waiting if not one.syncing)
                at_s = self._due_s + _HELD_UP_S
                if self._due and (not self._busy or now_s >= at_s):
                    self._idle -= 1
                    return self._begin()
                self._led = True
                self._changed.wait(max(0.0, (min(at_s, self._beat_s) if self._due else self._beat_s) - now_s))
                self._led = False
            self._idle -= 1
            self._changed.notify()  # if this was the one that waited for the beat
            return None

    def _after(self, synced: Syncer) -> Syncer | None:
        """What this thread syncs behind another one; None if nothing is due."""
        with self._changed:
            synced.syncing = False
            self._busy -= 1
            found = self._begin()
            if found is None:
                self._idle += 1
            return found

    def _begin(self) -> Syncer | None:
        while self._due:
            syncer = self._due.popleft()
            if syncer in self._syncers:
                syncer.syncing, self._due_s = True, time.monotonic()
                self._busy += 1
                if self._idle and not self._led:
                    self._changed.notify()
                elif not self._idle and len(self._syncers) > 1:
                    with contextlib.suppress(RuntimeError):  # no more threads: this one goes on alone
                        self._start()
                return syncer
        return None


def _next_beat_s() -> float:
    return time.monotonic() + until_beat(SYNC_INTERVAL_S, _AFTER_BEAT_S)


_THREADS = _Threads()
