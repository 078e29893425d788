"""What disturbs a recording in the tests of the invariants: failing sources, killed ffmpegs, lost files and indexes."""

from __future__ import annotations

import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil

from tests.support.child_processes import command_of, kill_all
from tests.support.recording import SMALL, US, Pulse
from tests.support.watching import closed_segments
from videostore.base.errors import NothingStoredError, UnreadableRangeError, VideoStoreError
from videostore.media.packet import Gap, Packet
from videostore.storage.index import FILE_NAME
from videostore.store.store import VideoStore


class FaultyPulse(Pulse):
    """A pulse between whose images a test can put gaps and exceptions."""

    def __init__(self, interval_s: float = 0.1, size: tuple[int, int] = SMALL) -> None:
        super().__init__(interval_s, size)
        self.faults: deque[Gap | Exception] = deque()
        """Come before the next image, in this order."""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        async with aclosing(super().packets()) as packets:  # type: ignore[type-var]
            async for item in packets:
                while self.faults:
                    fault = self.faults.popleft()
                    if isinstance(fault, Exception):
                        raise fault
                    yield fault
                yield item


def ffmpegs(ending: str) -> list[psutil.Process]:
    """The ffmpeg children of this process that write to a path with this ending."""
    return [one for one in psutil.Process().children() if any(word.endswith(ending) for word in command_of(one))]


def kill_recording() -> None:
    """Kill the ffmpegs that record."""
    kill_all(ffmpegs(".open"))


async def fetch_something(store: VideoStore, dice: random.Random) -> None:
    """Fetch a random clip of the last seconds, if anything is stored, and not just lost by what the tests disturb."""
    to_us = time.time_ns() // 1000 - round(dice.uniform(0, 3) * US)
    from_us = to_us - round(dice.uniform(0.3, 2) * US)
    with contextlib.suppress(NothingStoredError, UnreadableRangeError):
        while True:
            try:
                await store.fetch(from_us, to_us)
                return
            except VideoStoreError as error:
                if error.code != "index-rebuilding":  # on a slow machine; it says that it is to be asked again
                    raise


def rename_one(storage: Path, dice: random.Random) -> None:
    """Give a random closed segment another name that a segment can have."""
    if paths := closed_segments(storage):
        path = dice.choice(paths)
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(f"{int(path.stem) + 1_000_000}.mp4"))


def lose_index(storage: Path, dice: random.Random) -> None:
    """Delete the index, or overwrite it with garbage."""
    if dice.random() < 0.5:
        for path in storage.glob(FILE_NAME + "*"):
            path.unlink(missing_ok=True)
    else:
        (storage / FILE_NAME).write_bytes(b"garbage" * 1000)
