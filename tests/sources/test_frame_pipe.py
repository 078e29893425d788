from __future__ import annotations

import asyncio
import os
import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.recording import until
from videostore.base.beat import BEAT_S
from videostore.base.clock import SteadyClock, SystemClock
from videostore.sources.frame_pipe import FramePipe


@dataclass
class Reading:
    """A thread that reads a pipe, and takes each piece for a frame."""

    gathers: bool
    pieces: list[bytes] = field(default_factory=list)
    arrived_us: list[int] = field(default_factory=list)
    emptied: list[int] = field(default_factory=list)
    """How many pieces had been read each time that nothing more was in the pipe."""
    refuse: bool = False

    def __post_init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.pipe = FramePipe(self.reading, SteadyClock(SystemClock()), self._on_empty, gathers=self.gathers)
        self.thread = threading.Thread(target=self._read, daemon=True)

    def _on_empty(self) -> bool:
        self.emptied.append(len(self.pieces))
        return not self.refuse

    def _read(self) -> None:
        while piece := self.pipe.read(1):
            self.pieces.append(piece)
            self.arrived_us.append(self.pipe.arrival_us())


@pytest.fixture(params=[True, False])
def reading(request: pytest.FixtureRequest) -> Iterator[Reading]:
    made = Reading(request.param)
    yield made
    for descriptor in (made.reading, made.writing):
        os.close(descriptor)


async def test_all_is_read_in_order_until_the_pipe_ends(reading: Reading) -> None:
    os.write(reading.writing, b"abc")
    reading.thread.start()
    await until(lambda: reading.emptied == [3])
    os.write(reading.writing, b"d")
    await until(lambda: reading.emptied == [3, 4])
    reading.refuse = True
    os.write(reading.writing, b"e")
    await asyncio.to_thread(reading.thread.join)
    assert b"".join(reading.pieces) == b"abcde" and reading.emptied == [3, 4, 5]


async def test_frames_gather_behind_one_that_was_waited_for_which_has_its_own_time() -> None:
    reading = Reading(gathers=True)
    reading.thread.start()
    written, written_us, clock = 0, [], SteadyClock(SystemClock())
    while written < 300:  # far longer than frames are read one by one at first
        await until(lambda: len(reading.emptied) > 0)
        written_us.append(clock.now_us())
        os.write(reading.writing, b"x")
        written += 1
        await asyncio.sleep(BEAT_S / 60)
    await until(lambda: len(reading.pieces) == written)
    together = [later - earlier for earlier, later in zip(reading.emptied, reading.emptied[1:], strict=False)]
    reading.refuse = True
    os.write(reading.writing, b"x")
    await asyncio.to_thread(reading.thread.join)
    assert max(together) >= 5
    late_us = [arrived - sent for arrived, sent in zip(reading.arrived_us, written_us, strict=False)]
    firsts = [late_us[at] for at in reading.emptied if at < written]
    others = [late for at, late in enumerate(late_us) if at not in reading.emptied]
    assert min(late_us) > -1000 and statistics.median(firsts) < statistics.median(others)
    for descriptor in (reading.reading, reading.writing):
        os.close(descriptor)


async def test_closing_it_ends_the_gathering() -> None:
    reading = Reading(gathers=True)
    reading.pipe.close()
    reading.thread.start()
    for _ in range(20):
        os.write(reading.writing, b"x")
        await until(lambda: len(reading.emptied) > 0)
    os.close(reading.writing)
    await asyncio.to_thread(reading.thread.join)
    assert len(reading.pieces) == 20
    os.close(reading.reading)


@pytest.mark.parametrize("much", [True, False])
async def test_a_pipe_that_would_be_more_than_half_full_is_read_twice_as_often(much: bool) -> None:
    reading, writing = os.pipe()
    pipe = FramePipe(reading, SteadyClock(SystemClock()), lambda: True, gathers=True)
    os.write(writing, bytes(900_000 if much else 1))
    pipe.close()  # nothing is waited for
    assert pipe._gather() > 0
    assert pipe._every_s == (BEAT_S / 2 if much else BEAT_S)
    for descriptor in (reading, writing):
        os.close(descriptor)
