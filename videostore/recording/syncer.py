"""Forces what a run has written to disk, again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from videostore.base.beat import until_beat
from videostore.recording.run import Run

SYNC_INTERVAL_S = 0.5
"""How often the open segment is synced to disk. A power cut loses the frames of one beat, one keyframe interval, and
what was written since the last sync: less than 2 s in all."""
_AFTER_BEAT_S = 0.25
"""So long after frames were read with a beat: by then ffmpeg has written them."""


class Syncer:
    """Owns a thread that syncs the open segment of the current run, until `stop`.

    A thread of its own, so that the event loop need not wake up for it. Nothing waits for it to end: a disk may hang.
    """

    def __init__(self, current_run: Callable[[], Run | None], logger: logging.Logger) -> None:
        """Start it. `current_run` is called in the thread."""
        self._current_run = current_run
        self._logger = logger
        self._stopped = threading.Event()
        threading.Thread(target=self._sync, name="videostore sync", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end, after a sync that has begun."""
        self._stopped.set()

    def _sync(self) -> None:
        while not self._stopped.wait(until_beat(SYNC_INTERVAL_S, _AFTER_BEAT_S)):
            run = self._current_run()
            if run is not None:
                try:
                    run.sync()
                except OSError as error:
                    self._logger.warning("The open segment could not be synced to disk: %s", error)
