"""Open segments: what can already be read of segments that are being written, or that could not be closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from videostore.base.clock import Clock
from videostore.base.constants import CLOCK_LEEWAY_US, LONGEST_SEGMENT_US, NEIGHBOUR_US, US_PER_SECOND
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.media.marked_frames import read_damage
from videostore.media.segment import Segment, describe_fragments
from videostore.media.segment_names import parse_open_name
from videostore.storage.archive import Archive
from videostore.storage.segment_files import first_sound_us
from videostore.storage.succession import joins
from videostore.storage.timeline import Timeline

COVER_POLL_S = 0.1
COVER_TIMEOUT_S = 60.0
"""How often an asynchronous save checks whether the recording has reached its end, and when it stops waiting."""
_NEWEST_S = 1.0
"""The status does not wait longer for a disk."""


class OpenRun(Protocol):
    """A run that is being written, as far as the storage needs it."""

    epoch_us: int
    """Capture time of its first frame."""
    last_us: int
    """Capture time of the last frame that was written."""

    def open_paths(self) -> list[Path]:
        """Its open segments, in order. Blocking."""
        ...

    def next_frame_us(self, time_us: int) -> int | None:
        """Capture time of the frame after another one; None if it is not known. Called from any thread."""
        ...

    def next_sound_us(self, decoded_us: int) -> int | None:
        """Capture time of the first sound after a time; None if it is not known. Called from any thread."""
        ...


class OpenContent(NamedTuple):
    """An open segment, its file, and the fragments in it that are complete."""

    segment: Segment
    path: Path
    content: FragmentedFile


class OpenSegments:
    """Reads the open segments of the current run, and those that the archive could not close."""

    def __init__(self, archive: Archive, clock: Clock, current_run: Callable[[], OpenRun | None]) -> None:
        self._archive = archive
        self._clock = clock
        self._current_run = current_run
        self.size_bytes = 0
        """Size of the open segments, as `measure` found it last."""
        self._newest: asyncio.Future[int | None] | None = None
        """The read of the newest frame that is under way."""

    async def find(self, from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
        """Open segments that overlap [from_us, to_us), as far as their fragments are complete."""
        return [(segment, path) for segment, path, _ in await self.read(from_us, to_us)]

    async def read(self, from_us: int, to_us: int) -> list[OpenContent]:
        """The same, with what the files hold."""
        run = self._current_run()
        if run is None and not self._archive.unclosed:
            return []
        return await off_loop(_read, run, list(self._archive.unclosed), from_us, to_us)

    async def paths(self) -> list[Path]:
        """The files of all of them."""
        run = self._current_run()
        return list(dict.fromkeys([*(await off_loop(run.open_paths) if run else []), *self._archive.unclosed]))

    async def newest_us(self) -> int | None:
        """The end of the newest frame that a clip can contain now; None if nothing is stored, or if the disk does not
        tell it in time. One read at most waits for a disk that hangs."""
        if self._newest is None:
            self._newest = asyncio.ensure_future(off_loop(_read_newest, self._current_run(), self._others()))
        reading = self._newest
        try:
            opened = await asyncio.wait_for(asyncio.shield(reading), _NEWEST_S)
        except asyncio.TimeoutError:
            return None
        finally:
            if reading.done() and self._newest is reading:
                self._newest = None
        return self.newest_of(opened)

    def newest_of(self, opened_us: int | None) -> int | None:
        """The end of what was recorded last, where `opened_us` is that of the open segments. What is in the future was
        recorded before the clock was set back; it counts if nothing else is stored."""
        clock_us, timeline = self._clock.wall_us(), self._archive.timeline
        latest_us = clock_us + CLOCK_LEEWAY_US
        closed_us = timeline.end_within(0, latest_us)
        if closed_us is not None and closed_us > latest_us:  # the present was recorded already
            closed_us = clock_us
        ends = [one for one in (opened_us, closed_us) if one is not None]
        return max([one for one in ends if one <= latest_us] or ends, default=timeline.end_us)

    def measure(self) -> int:
        """Size of the open segments of the current run; read-only, of all open segments. Blocking."""
        run, total = self._current_run(), 0
        for path in [*(run.open_paths() if run else []), *self._others()]:
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        self.size_bytes = total
        return total

    def _others(self) -> list[Path]:
        """Open segments that another process may be writing."""
        return list(self._archive.unclosed) if self._archive.read_only else []

    async def last_frame_us(self, run: OpenRun) -> int:
        """Capture time of the last frame in the files of a run that has ended; before its epoch if there is none. The
        last one to be decoded, which need not be the last one that is shown. Of a closed segment that cannot be read
        now, as on a disk that is gone, it is the last moment."""
        recent_us = max(run.epoch_us, run.last_us - LONGEST_SEGMENT_US)
        closed = await self._archive.index.select(recent_us, run.last_us + NEIGHBOUR_US)
        ends_us = {one.file_name: one.end_us for one in closed if one.run_us == run.epoch_us}
        paths = [self._archive.directory / name for name in ends_us]
        unclosed = sorted(self._archive.unclosed)
        paths += [one for one in unclosed if (name := parse_open_name(one.name)) and name[0] == run.epoch_us]
        for path in reversed(paths):
            try:
                last_us = (await off_loop(read_fragments, path)).fragments[-1].times_us[-1]
            except NotOursError:
                continue
            except OSError:
                if path.name not in ends_us:
                    continue
                last_us = min(run.last_us, ends_us[path.name] - 1)
            if last_us <= run.last_us:
                return last_us
        return run.epoch_us - 1

    async def wait_until_covered(self, from_us: int, to_us: int, within_s: float = COVER_TIMEOUT_S) -> None:
        """Wait until the files hold everything up to a time that has passed. That takes about a keyframe interval.

        `from_us` is where the range begins: no wait if it was recorded before the clock was set back.
        """
        deadline_us = self._clock.monotonic_us() + round(within_s * US_PER_SECOND)
        while (run := self._current_run()) is not None and self._clock.monotonic_us() < deadline_us:
            # The first frame after `to` proves that all frames before it are in the file.
            if any(segment.end_us >= to_us for segment, _ in await self.find(to_us - 1, 1 << 62)):
                return
            if run.epoch_us >= to_us:
                return
            if from_us > self._clock.wall_us() and run.last_us + CLOCK_LEEWAY_US < from_us:
                return  # recorded before the clock was set back
            # A segment of a single fragment cannot be read before it is closed.
            closed = await self._archive.index.select(to_us, to_us + NEIGHBOUR_US)
            if any(segment.run_us == run.epoch_us and segment.start_us >= to_us for segment in closed):
                return
            await asyncio.sleep(COVER_POLL_S)


async def stored_timeline(archive: Archive, opened: Sequence[Segment]) -> Timeline:
    """All that is stored, closed and open, without sums. The caller keeps the archive steady if both have to agree."""
    if not opened:
        return archive.timeline.with_ranges(())
    before_us = min(one.start_us for one in opened) - NEIGHBOUR_US
    closed = await archive.index.select(before_us, max(one.end_us for one in opened) + NEIGHBOUR_US)
    spans = [Range(one.start_us, one.end_us) for one in opened]
    return archive.timeline.with_ranges([*spans, *joins([*closed, *opened])])


async def newest_has_sound(archive: Archive, opened: Sequence[Segment]) -> bool:
    """Whether the newest segment has sound; False if nothing is stored, or if the segment cannot be read."""
    end_us = archive.timeline.end_us
    closed = [] if end_us is None else await archive.index.select(end_us - 1, end_us)
    newest = max([*closed, *opened], key=lambda one: one.end_us, default=None)
    return newest is not None and await off_loop(_has_sound, archive.directory / newest.file_name)


def _has_sound(path: Path) -> bool:
    """Blocking."""
    with contextlib.suppress(NotOursError, OSError):
        return read_ends(path).sound is not None
    return False


def _read_newest(run: OpenRun | None, others: list[Path]) -> int | None:
    """Blocking: it reads the segments that are being written."""
    found = []
    for path in [*(run.open_paths()[-1:] if run is not None else []), *others]:
        with contextlib.suppress(NotOursError, OSError):
            content = read_fragments(path)
            if content.complete_until_us > content.start_us:
                found.append(content.complete_until_us)
    return max(found, default=None)


def _read(run: OpenRun | None, unclosed: list[Path], from_us: int, to_us: int) -> list[OpenContent]:
    found = []
    running = run.open_paths() if run else []
    for path in dict.fromkeys([*running, *unclosed]):
        try:
            name = parse_open_name(path.name)
            content = read_fragments(path)
            number = name[1] if name else None
            segment = describe_fragments(path.name, content, number, read_damage(path, content))
            if run is not None and path in running and (sound_us := first_sound_us(content, run)) is not None:
                segment = replace(segment, sound_us=sound_us)
        except (NotOursError, OSError):
            continue
        # A file that begins with an open GOP is part of the recording when all frames before its first one are there:
        # it tells that the time before it is covered.
        if segment.start_us < min(to_us, segment.end_us) and segment.end_us > from_us:
            found.append(OpenContent(segment, path, content))
    return found
