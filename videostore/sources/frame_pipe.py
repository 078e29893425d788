"""The pipe through which the ffmpeg of an input passes its frames on, read so that a process wakes up rarely."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable

from videostore.base.beat import BEAT_S, until_beat
from videostore.base.clock import SteadyClock
from videostore.base.system import pipe_bytes, unread_bytes, widen_pipe

_PIPE_BYTES = 1 << 20
_LEAST_PIPE_BYTES = 1 << 18
"""Frames do not gather in a smaller pipe: while it is full, ffmpeg does not read what the camera sends."""
_EXACT_S = 3.0
"""At first every frame is read when it arrives: the estimate of when frames are captured begins with these."""
_SHORT_S = 0.1
"""What comes within less says little about how much will."""
_MOST_FULL = 0.5
"""If so much of the pipe were full at the next beat, frames are read twice as often."""


class FramePipe:
    """A file for PyAV. Only its thread reads; any thread may close it.

    When all that was read is used up and the pipe is empty, `on_empty` is called, and the next read waits for a beat,
    or for ffmpeg. With every other beat it first waits for a frame: that arrived at this moment, and is read with those
    that have gathered behind it. That all others seem to have arrived with the beat does not disturb the estimate of
    capture times: the smallest delay counts.
    """

    def __init__(self, descriptor: int, clock: SteadyClock, on_empty: Callable[[], bool], *, gathers: bool) -> None:
        """`on_empty` returns whether to go on. `gathers`: whether frames gather, as far as the pipe has room."""
        self._descriptor = descriptor
        self._clock = clock
        self._on_empty = on_empty
        widen_pipe(descriptor, _PIPE_BYTES)
        self._pipe_bytes = pipe_bytes(descriptor)
        self._gathers = gathers and self._pipe_bytes >= _LEAST_PIPE_BYTES
        self._every_s = BEAT_S
        self._waits_for_frame = True
        """Whether the next frame is waited for, or only the next beat."""
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._closed = threading.Event()
        self._read_us = 0
        self._waited_us: int | None = None
        self._exact_until_s: float | None = None

    def read(self, size: int) -> bytes:
        """What is in the pipe, at most so much; empty at its end. Blocking."""
        if not unread_bytes(self._descriptor):
            if not self._on_empty():
                return b""
            if self._gathers:
                self._wait_for_beat()
        data = os.read(self._descriptor, size)
        self._read_us = self._clock.now_us()
        return data

    def _wait_for_beat(self) -> None:
        if not self._waits_for_frame:
            self._waits_for_frame = True
            if self._gather():
                return
        found = self._poll.poll()
        self._waited_us = self._clock.now_us()
        now_s = time.monotonic()
        if self._exact_until_s is None:
            self._exact_until_s = now_s + _EXACT_S
        elif now_s > self._exact_until_s and found[0][1] & select.POLLIN:
            self._waits_for_frame = False
            self._gather()

    def _gather(self) -> int:
        """Let frames gather until the next beat. Returns how many bytes have."""
        wait_s = until_beat(self._every_s)
        self._closed.wait(wait_s)
        gathered = unread_bytes(self._descriptor)
        fills = gathered / max(wait_s, _SHORT_S) * BEAT_S > _MOST_FULL * self._pipe_bytes
        self._every_s = BEAT_S / 2 if fills else BEAT_S
        return gathered

    def arrival_us(self) -> int:
        """When the next frame of what was read arrived, UTC."""
        arrived_us, self._waited_us = self._waited_us, None
        return self._read_us if arrived_us is None else arrived_us

    def close(self) -> None:
        """Let no frame gather any more."""
        self._closed.set()
