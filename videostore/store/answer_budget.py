"""A budget for clips in memory: answers that would take more wait their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from videostore.base.constants import MIB

ANSWERS_BYTES = 64 * MIB
"""Clips that are made or sent as answers at the same time, over all recorders of a process."""


class AnswerBudget:
    """Lets answers begin in the order in which they ask, as long as together they fit."""

    def __init__(self, limit_bytes: int = ANSWERS_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._taken_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken_bytes(self) -> int:
        """What the answers in progress take."""
        return self._taken_bytes

    def room(self) -> AnswerRoom:
        """Room for one answer. Use it as a context manager, which gives it back."""
        return AnswerRoom(self)

    async def _take(self, size_bytes: int) -> None:
        if not self._waiting and self._fits(size_bytes):
            self._taken_bytes += size_bytes
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size_bytes, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._admit()  # what waits behind it may fit
            else:
                self._give(size_bytes)
            raise

    def _give(self, size_bytes: int) -> None:
        self._taken_bytes -= size_bytes
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size_bytes, turn = self._waiting.popleft()
            self._taken_bytes += size_bytes
            if not turn.done():  # one that was cancelled just now gives it back
                turn.set_result(None)

    def _fits(self, size_bytes: int) -> bool:
        """An answer larger than the whole budget gets its turn when no other is in progress."""
        return not self._taken_bytes or self._taken_bytes + size_bytes <= self._limit_bytes


class AnswerRoom:
    """The room of one answer in a budget, from the moment in which it begins until it is sent."""

    def __init__(self, budget: AnswerBudget) -> None:
        """Use `AnswerBudget.room`."""
        self._budget = budget
        self._bytes = 0

    def __enter__(self) -> AnswerRoom:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resize(0)

    async def take(self, size_bytes: int) -> None:
        """Wait until there is room for an answer of at most this size. Only once."""
        await self._budget._take(size_bytes)
        self._bytes = size_bytes

    def resize(self, size_bytes: int) -> None:
        """Keep only as much as is needed, once that is known."""
        taken_bytes, self._bytes = self._bytes, size_bytes
        if taken_bytes != size_bytes:
            self._budget._give(taken_bytes - size_bytes)
