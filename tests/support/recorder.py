"""A recorder of a feed, without a store around it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.recording import SMALL, Feed, FixedClock, packet, until
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.packet import Packet
from videostore.recording.recorder import Recorder
from videostore.recording.run import Run


@dataclass
class Recording:
    """A recorder of a feed."""

    feed: Feed
    clock: FixedClock
    directory: Path
    recorder: Recorder
    task: asyncio.Task[None]
    ended: list[Run] = field(default_factory=list)

    async def stop(self) -> None:
        """End it, as a store does."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def reaches(self, time_us: int) -> None:
        """Wait until a frame is written to ffmpeg."""
        await until(lambda: self.recorder.run is not None and self.recorder.run.last_us == time_us)

    def runs(self) -> list[list[int]]:
        """Capture times in the files, by run."""
        runs: dict[str, list[int]] = {}
        for path in sorted(self.directory.glob("*.open")):
            with contextlib.suppress(NotOursError):  # it holds no frame
                content = read_fragments(path)
                runs.setdefault(content.comment, []).extend(content.times_us)
        return list(runs.values())


Start = Callable[..., Recording]
"""Starts a recorder of items, as the fixture `start` does."""


def packets(times: list[int], size: tuple[int, int] = SMALL, mime: str = "image/jpeg") -> list[Packet]:
    """A picture of each time."""
    return [packet(time_us, size, mime) for time_us in times]
