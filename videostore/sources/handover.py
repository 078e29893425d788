"""The queue that carries coded frames from the thread that reads an input to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from videostore.base.constants import MIB
from videostore.media.h26x import UncopyableError
from videostore.media.packet import StreamFormat

HANDOVER_FRAMES = 128
HANDOVER_BYTES = 8 * MIB
"""How far an input's thread reads ahead: some seconds of a live stream, whose arrival times must be taken at once."""


class CodedFrame(NamedTuple):
    """One frame of H.264 or H.265 as an input delivered it, in Annex B, keyframes with their parameter sets."""

    format: StreamFormat
    data: bytes
    pts_us: int
    """When it is shown, by the input's own clock."""
    arrived_us: int
    """When it was read, UTC."""
    clock_steps: int
    """How many steps of the clock were followed until then: times across a step cannot be compared."""
    keyframe: bool
    decoded_us: int | None = None
    """When it is decoded, by the same clock; None: when it is shown."""

    @property
    def order_us(self) -> int:
        """What rises from frame to frame: when it is decoded."""
        return self.pts_us if self.decoded_us is None else self.decoded_us


@dataclass(frozen=True, slots=True)
class EndOfInput:
    """Follows the last frame."""


Item = CodedFrame | UncopyableError | EndOfInput


class Handover:
    """A queue from a thread to the event loop in which it was made, bounded in frames and bytes.

    The thread calls `put` and `finish`, the loop everything else. Items that are put together wake the loop once.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self.finished = asyncio.Event()
        """Set when the thread has nothing left to do."""

    @property
    def filled(self) -> bool:
        """Whether an item is waiting."""
        return bool(self._items)

    def put(self, *items: Item) -> bool:
        """In the thread: add items, waiting for room; False if the queue is closed. Blocking."""
        with self._changed:
            for item in items:
                size = _size(item)
                if self._full(size):
                    self._call_in_loop(self._wake)
                while not self._closed and self._full(size):
                    self._changed.wait()
                if self._closed:
                    return False
                self._items.append(item)
                self._bytes += size
        return self._call_in_loop(self._wake)

    def finish(self) -> None:
        """In the thread, as its last call: set `finished`."""
        self._call_in_loop(self.finished.set)

    def get_nowait(self) -> Item | None:
        """Take the oldest item, or None."""
        with self._changed:
            if not self._items:
                return None
            item = self._items.popleft()
            self._bytes -= _size(item)
            self._changed.notify()
            return item

    def frames_nowait(self, most: int) -> list[CodedFrame]:
        """Take the oldest frames, at most so many; what is no frame, and all behind it, stays."""
        taken: list[CodedFrame] = []
        with self._changed:
            while self._items and len(taken) < most and isinstance(self._items[0], CodedFrame):
                frame = self._items.popleft()
                self._bytes -= len(frame.data)  # type: ignore[union-attr]
                taken.append(frame)  # type: ignore[arg-type]
            if taken:
                self._changed.notify()
        return taken

    async def get(self, within_s: float | None = None) -> Item:
        """Take the oldest item, waiting for one.

        Raises:
            TimeoutError (asyncio's): none came in time.
        """
        until_s = None if within_s is None else self._loop.time() + within_s
        while (item := self.get_nowait()) is None:
            # A future and a timer: `wait_for` costs a task on older Pythons, and this is called for most frames.
            waiter = self._waiter = self._loop.create_future()
            timer = None if until_s is None else self._loop.call_at(until_s, _expire, waiter)
            try:
                await waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        return item

    def close(self) -> None:
        """Drop what is waiting and accept nothing more."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify()

    def _full(self, size: int) -> bool:
        return bool(self._items) and (len(self._items) >= HANDOVER_FRAMES or self._bytes + size > HANDOVER_BYTES)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _call_in_loop(self, call: Callable[[], object]) -> bool:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed: the process is ending
            return False
        return True


def _size(item: Item) -> int:
    return len(item.data) if isinstance(item, CodedFrame) else 0


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(asyncio.TimeoutError())
