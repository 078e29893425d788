"""Readers of frames, as pacing takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.support.recording import US, FixedClock
from videostore.sources.handover import CodedFrame
from videostore.sources.pacing import DatedFrame


class Frames:
    """A reader of a few frames that have arrived already."""

    def __init__(self, frames: list[CodedFrame]) -> None:
        self._frames = frames

    @property
    def waiting(self) -> bool:
        return bool(self._frames)

    async def next(self, within_s: float | None) -> CodedFrame | None:
        return self._frames.pop(0) if self._frames else None

    def more(self, most: int) -> list[CodedFrame]:
        taken, self._frames = self._frames[:most], self._frames[most:]
        return taken


class Arriving(Frames):
    """The same, and the time of each is when it arrived."""

    def __init__(self, frames: list[CodedFrame], clock: FixedClock) -> None:
        super().__init__(frames)
        self._clock = clock

    @property
    def waiting(self) -> bool:
        return False

    async def next(self, within_s: float | None) -> CodedFrame | None:
        frame = await super().next(within_s)
        if frame is not None:
            self._clock.advance((frame.arrived_us - self._clock.wall) / US)
        return frame

    def more(self, most: int) -> list[CodedFrame]:
        return []


async def each(paced: AsyncIterator[list[DatedFrame]]) -> AsyncIterator[DatedFrame]:
    """The frames one by one."""
    async for together in paced:
        for one in together:
            yield one
