"""The pipe through which the ffmpeg of an input passes its frames on, read so that a process wakes up rarely."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from videostore.base.system import pipe_bytes, unread_bytes, widen_pipe

GATHER_S = 0.15
"""So long frames gather in the pipe, to be read, dated and written together: each time that a thread, the event loop
and ffmpeg wake up costs more than the frames themselves."""

_PIPE_BYTES = 1 << 20
_LEAST_PIPE_BYTES = 1 << 18
"""Frames do not gather in a smaller pipe: while it is full, ffmpeg does not read what the camera sends."""
_EXACT_S = 1.0
"""At first every frame is read when it arrives: the estimate of when frames are captured begins with these."""


class FramePipe:
    """A file for PyAV. Only its thread reads; any thread may close it.

    When all that was read is used up and the pipe is empty, `on_empty` is called, and the next read waits for ffmpeg:
    the frame that comes then is dated by when it really arrived. After it, others gather in the pipe. They are read
    later than they arrived, which does not disturb the estimate of capture times: the smallest delay counts.
    """

    def __init__(self, descriptor: int, on_empty: Callable[[], bool], *, gathers: bool) -> None:
        """`on_empty` returns whether to go on. `gathers`: whether frames gather, as far as the pipe has room."""
        self._descriptor = descriptor
        self._on_empty = on_empty
        widen_pipe(descriptor, _PIPE_BYTES)
        self._gathers = gathers and pipe_bytes(descriptor) >= _LEAST_PIPE_BYTES
        self._closed = threading.Event()
        self._waited = False
        """Whether what was read last had to be waited for."""
        self._first_s: float | None = None

    def read(self, size: int) -> bytes:
        """What is in the pipe, at most so much; empty at its end. Blocking."""
        if not unread_bytes(self._descriptor):
            self._waited = True
            if not self._on_empty():
                return b""
        return os.read(self._descriptor, size)

    def frame_read(self) -> None:
        """A frame is complete: if it was waited for, let others gather behind it. Blocking."""
        if not self._waited:
            return
        self._waited = False
        now_s = time.monotonic()
        if self._first_s is None:
            self._first_s = now_s
        elif self._gathers and now_s - self._first_s > _EXACT_S:
            self._closed.wait(GATHER_S)

    def close(self) -> None:
        """Let no frame gather any more."""
        self._closed.set()
