"""Open segments: what is still being written, or could not be closed, as far as it can be read already."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from videostore.base.clock import Clock
from videostore.base.constants import CLOCK_LEEWAY_US, LONGEST_SEGMENT_US, NEIGHBOUR_US, US_PER_SECOND
from videostore.media.fmp4 import NotOursError, read_fragments
from videostore.media.segment import Segment, describe_fragments
from videostore.media.segment_names import parse_open_name
from videostore.storage.archive import Archive

COVER_POLL_S = 0.1
COVER_TIMEOUT_S = 60.0
"""An asynchronous save looks this often whether the recording has reached its end, and gives up waiting after this."""


class OpenRun(Protocol):
    """A run that is being written: what the storage needs to know of it."""

    epoch_us: int
    last_us: int

    def open_paths(self) -> list[Path]:
        """Its segments that are not closed yet, in order."""
        ...


class OpenSegments:
    """Reads the segments of the current run that are not closed, and those that the archive could not close."""

    def __init__(self, archive: Archive, clock: Clock, current_run: Callable[[], OpenRun | None]) -> None:
        self._archive = archive
        self._clock = clock
        self._current_run = current_run

    async def find(self, from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
        """The whole fragments of those that overlap [from_us, to_us)."""
        run = self._current_run()
        paths = dict.fromkeys([*(run.open_paths() if run else []), *self._archive.unclosed])
        if not paths:
            return []
        return await asyncio.get_running_loop().run_in_executor(None, _read, list(paths), from_us, to_us)

    def size_bytes(self) -> int:
        """What the current run's take of the disk; read-only, what all that are open do."""
        run, total = self._current_run(), 0
        theirs = self._archive.unclosed if self._archive.read_only else ()
        for path in [*(run.open_paths() if run else []), *theirs]:
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    async def last_frame_us(self, run: OpenRun) -> int:
        """Capture time of the last frame of a run that has ended which is in a file; before its first where none is."""
        recent_us = max(run.epoch_us, run.last_us - LONGEST_SEGMENT_US)
        closed = await self._archive.index.select(recent_us, run.last_us + NEIGHBOUR_US)
        paths = [self._archive.directory / one.file_name for one in closed if one.run_us == run.epoch_us]
        loop = asyncio.get_running_loop()
        for path in reversed([*paths, *sorted(self._archive.unclosed)]):
            with contextlib.suppress(NotOursError, OSError):
                last_us = (await loop.run_in_executor(None, read_fragments, path)).times_us[-1]
                if last_us <= run.last_us:
                    return last_us
        return run.epoch_us - 1

    async def wait_until_covered(self, from_us: int, to_us: int) -> None:
        """Wait until the recording reaches a moment that has passed: about a keyframe interval, for files tell it."""
        deadline_us = self._clock.monotonic_us() + round(COVER_TIMEOUT_S * US_PER_SECOND)
        while (run := self._current_run()) is not None and self._clock.monotonic_us() < deadline_us:
            # The frame that follows `to` proves that none before it is still to come.
            if any(segment.end_us >= to_us for segment, _ in await self.find(to_us - 1, 1 << 62)):
                return
            if run.epoch_us >= to_us:
                return
            if from_us > self._clock.wall_us() and run.last_us + CLOCK_LEEWAY_US < from_us:
                return  # it was recorded before the clock was set back
            # Of a segment as short as its fragments nothing can be read before it is closed.
            closed = await self._archive.index.select(to_us, to_us + NEIGHBOUR_US)
            if any(segment.run_us == run.epoch_us and segment.start_us >= to_us for segment in closed):
                return
            await asyncio.sleep(COVER_POLL_S)


def _read(paths: list[Path], from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
    found = []
    for path in paths:
        try:
            name = parse_open_name(path.name)
            segment = describe_fragments(path.name, read_fragments(path), name[1] if name else None)
        except (NotOursError, OSError):
            continue
        if segment.start_us < to_us and segment.end_us > from_us:
            found.append((segment, path))
    return found
