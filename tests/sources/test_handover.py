from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support.recording import until
from videostore.media.packet import StreamFormat
from videostore.sources.handover import HANDOVER_BYTES, HANDOVER_FRAMES, CodedFrame, EndOfInput, Handover


def frame(number: int, size_bytes: int = 10) -> CodedFrame:
    return CodedFrame(StreamFormat("h264", 2, 2), bytes(size_bytes), number, number, 0, True)


class Writer(threading.Thread):
    """A thread that puts frames into a handover, and then its end."""

    def __init__(self, handover: Handover, frames: list[CodedFrame]) -> None:
        super().__init__(daemon=True)
        self._handover = handover
        self._frames = frames
        self.accepted: list[bool] = []
        self.start()

    def run(self) -> None:
        for one in self._frames:
            self.accepted.append(self._handover.put(one))
        self._handover.put(EndOfInput())
        self._handover.finish()


async def test_frames_arrive_in_order_and_then_the_end() -> None:
    handover = Handover()
    frames = [frame(number) for number in range(3 * HANDOVER_FRAMES)]
    writer = Writer(handover, frames)
    assert [await asyncio.wait_for(handover.get(), 150) for _ in range(len(frames) + 1)] == [*frames, EndOfInput()]
    await asyncio.wait_for(handover.finished.wait(), 150)
    await asyncio.to_thread(writer.join)


@pytest.mark.parametrize(
    ("size_bytes", "fitting"), [(10, HANDOVER_FRAMES), (HANDOVER_BYTES // 4, 4), (2 * HANDOVER_BYTES, 1)]
)
async def test_the_thread_waits_while_the_queue_is_full_and_is_released_when_it_is_closed(
    size_bytes: int, fitting: int
) -> None:
    """One frame always fits, however large it is."""
    handover = Handover()
    writer = Writer(handover, [frame(number, size_bytes) for number in range(fitting + 3)])
    await until(lambda: len(writer.accepted) == fitting)
    await asyncio.sleep(0.05)
    assert len(writer.accepted) == fitting and handover.filled
    assert handover.get_nowait() == frame(0, size_bytes)
    await until(lambda: len(writer.accepted) == fitting + 1)
    handover.close()
    await asyncio.wait_for(handover.finished.wait(), 150)
    assert writer.accepted == [True] * (fitting + 1) + [False] * 2
    assert handover.get_nowait() is None
    await asyncio.to_thread(writer.join)


async def test_frames_that_wait_are_taken_together_up_to_what_is_no_frame() -> None:
    handover = Handover()
    frames = [frame(number) for number in range(5)]
    writer = Writer(handover, frames)
    await until(lambda: handover.finished.is_set())
    assert handover.frames_nowait(2) == frames[:2]
    assert handover.frames_nowait(9) == frames[2:]
    assert handover.frames_nowait(9) == []
    assert handover.get_nowait() == EndOfInput()
    await asyncio.to_thread(writer.join)


async def test_taking_frames_together_makes_room_for_others() -> None:
    handover = Handover()
    writer = Writer(handover, [frame(number) for number in range(HANDOVER_FRAMES + 5)])
    await until(lambda: len(writer.accepted) == HANDOVER_FRAMES)
    assert len(handover.frames_nowait(HANDOVER_FRAMES)) == HANDOVER_FRAMES
    await asyncio.wait_for(handover.finished.wait(), 150)
    assert len(handover.frames_nowait(HANDOVER_FRAMES)) == 5
    await asyncio.to_thread(writer.join)
