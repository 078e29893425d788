"""The pipe through which the ffmpeg of an input passes its frames on, read so that a process wakes up rarely."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable

from videostore.base.beat import until_beat
from videostore.base.clock import SteadyClock
from videostore.base.system import pipe_bytes, unread_bytes, widen_pipe

_PIPE_BYTES = 1 << 20
_LEAST_PIPE_BYTES = 1 << 18
"""Frames do not gather in a smaller pipe: while it is full, ffmpeg does not read what the camera sends."""
_EXACT_S = 3.0
"""At first every frame is read when it arrives: the estimate of when frames are captured begins with these."""


class FramePipe:
    """A file for PyAV. Only its thread reads; any thread may close it.

    When all that was read is used up and the pipe is empty, `on_empty` is called, and the next read waits for ffmpeg.
    The frame that comes then arrived at that moment, and is read with the next beat, with those that have gathered
    behind it. That these seem to have arrived with the beat does not disturb the estimate of capture times: the
    smallest delay counts.
    """

    def __init__(self, descriptor: int, clock: SteadyClock, on_empty: Callable[[], bool], *, gathers: bool) -> None:
        """`on_empty` returns whether to go on. `gathers`: whether frames gather, as far as the pipe has room."""
        self._descriptor = descriptor
        self._clock = clock
        self._on_empty = on_empty
        widen_pipe(descriptor, _PIPE_BYTES)
        self._gathers = gathers and pipe_bytes(descriptor) >= _LEAST_PIPE_BYTES
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
                self._wait_for_more()
        data = os.read(self._descriptor, size)
        self._read_us = self._clock.now_us()
        return data

    def _wait_for_more(self) -> None:
        found = self._poll.poll()
        self._waited_us = self._clock.now_us()
        now_s = time.monotonic()
        if self._exact_until_s is None:
            self._exact_until_s = now_s + _EXACT_S
        elif now_s > self._exact_until_s and found[0][1] & select.POLLIN:
            self._closed.wait(until_beat())

    def arrival_us(self) -> int:
        """When the next frame of what was read arrived, UTC."""
        arrived_us, self._waited_us = self._waited_us, None
        return self._read_us if arrived_us is None else arrived_us

    def close(self) -> None:
        """Let no frame gather any more."""
        self._closed.set()
