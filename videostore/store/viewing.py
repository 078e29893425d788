"""Viewing: what players and pages need of a recording: where its segments are, and what is stored when.

Nothing here costs more the more is stored: it is looked up in the index, and has a bound.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from videostore.base.constants import NEIGHBOUR_US, RANGE_SLOP_US
from videostore.base.errors import VideoStoreError
from videostore.base.ranges import MOST_DAMAGED, DamagedRange, Range, damaged_within, merge_ranges
from videostore.base.tasks import off_loop
from videostore.clips.segment_frames import followed, segment_frames
from videostore.media.fragmented_file import FragmentedFile
from videostore.media.segment import Segment
from videostore.media.segment_names import parse_open_name
from videostore.storage.archive import Archive
from videostore.storage.directory_lock import is_locked
from videostore.storage.notes import Event, Notes, RecordingGap
from videostore.storage.open_segments import OpenSegments
from videostore.storage.save_record import SaveOutcome
from videostore.storage.saves_on_disk import SavesOnDisk
from videostore.storage.succession import joins
from videostore.storage.view_queries import damage_within, names_of, start_of_newest_us

_SAME_US = 2000
"""The first frame of a segment that is open and of the same one when it is closed are dated so closely."""
_CLOSING_S = 2.0
"""How long a segment that was just closed may take until its new name is known."""
_ATTEMPTS = 3
_GROWS_WITHIN_S = 30.0
"""An open segment grows once a second, or as seldom as the camera sends images. That of a process that ended has no
lock, and one that gets nothing is closed."""
_ALWAYS_US = 1 << 62
_KEY = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18})|--([0-9]{1,10}))?")


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """What names a segment while it is open and afterwards: when it begins, and in which run.

    Other programs date their files by the second, so that several may begin at the same time.
    """

    start_us: int
    run_us: int | None
    digest: int | None = None
    """Of the name, of a file of another program; None for any of those that begin then."""

    def __str__(self) -> str:
        if self.run_us is not None:
            return f"{self.start_us}-{self.run_us}"
        return str(self.start_us) if self.digest is None else f"{self.start_us}--{self.digest}"

    @property
    def order(self) -> tuple[int, int, int]:
        """By which segments are sorted."""
        return self.start_us, self.run_us or 0, self.digest or 0

    @classmethod
    def of(cls, segment: Segment) -> SegmentKey:
        """The key of a segment."""
        digest = zlib.crc32(os.fsencode(segment.file_name)) if segment.run_us is None else None
        return cls(segment.start_us, segment.run_us, digest)

    @classmethod
    def parse(cls, text: str) -> SegmentKey | None:
        """The key that a text is; None if it is none."""
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        run_us, digest = (int(one) if one else None for one in match.groups()[1:])
        return cls(int(match[1]), run_us, digest)


@dataclass(frozen=True, slots=True)
class ViewedSegment:
    """A segment, and where its file is at the moment."""

    key: SegmentKey
    segment: Segment
    path: Path
    content: FragmentedFile | None = None
    """What an open segment holds so far; None of a closed one."""

    @property
    def is_open(self) -> bool:
        """Whether it may grow."""
        return self.content is not None


@dataclass(frozen=True, slots=True)
class ViewedRanges:
    """What is stored in a range of time."""

    ranges: tuple[Range, ...]
    exact: bool
    """Whether these are all; otherwise ranges that are near each other are joined."""
    damaged: tuple[DamagedRange, ...]
    first_us: int | None
    """Where the recording begins; None if nothing is stored."""
    newest_us: int | None
    """Where it ends."""


class Viewing:
    """Looks up what one store holds."""

    def __init__(self, archive: Archive, opened: OpenSegments, notes: Notes) -> None:
        self._archive = archive
        self._notes = notes
        self._open = opened
        self._saves = SavesOnDisk(archive.directory)

    async def segments(self, from_us: int, to_us: int = _ALWAYS_US, limit: int = -1) -> list[ViewedSegment]:
        """The segments that overlap [from_us, to_us), by start; with a `limit`, the first ones."""
        if self._archive.read_only:
            opened, closed = await self._followed(from_us, to_us, limit)
        else:
            async with self._archive.steady():
                opened, closed = await self._read(from_us, to_us, limit)
        closed.sort(key=lambda one: (one.end_us, one.file_name))  # of copies the longest counts, as in clips
        found = {SegmentKey.of(one): one for one in closed}
        viewed = [ViewedSegment(key, one, self._archive.directory / one.file_name) for key, one in found.items()]
        viewed += [one for one in opened if one.key not in found]
        viewed.sort(key=lambda one: one.key.order)
        return viewed if limit < 0 else viewed[:limit]

    async def _followed(self, from_us: int, to_us: int, limit: int) -> tuple[list[ViewedSegment], list[Segment]]:
        """The same as `_read`, without the moment in which a segment has its new name and is not in the index."""
        for _ in range(_ATTEMPTS):
            known = set(self._archive.unclosed)
            found = await self._read(from_us, to_us, limit)
            if known <= self._archive.unclosed and not await self._archive.is_closing():
                break
            with contextlib.suppress(VideoStoreError):
                await self._archive.wait_until_indexed(from_us, _CLOSING_S)
        return found

    async def _read(self, from_us: int, to_us: int, limit: int) -> tuple[list[ViewedSegment], list[Segment]]:
        opened = await self._opened(from_us, to_us)
        return opened, await self._archive.index.select(from_us, to_us, limit)

    async def path_of(self, key: SegmentKey) -> Path | None:
        """Where the file of a segment is at the moment; None if it is gone."""
        for _ in range(_ATTEMPTS):  # it may be closed, and be indexed, between two of the steps
            names = await names_of(self._archive.index, key.start_us, key.run_us, _SAME_US)
            names = [one for one in names if key.digest in (None, zlib.crc32(os.fsencode(one)))]
            if names:
                return self._archive.directory / names[0]
            for one in await self._opened(key.start_us - _SAME_US, key.start_us + _SAME_US):
                if one.key.run_us == key.run_us and abs(one.key.start_us - key.start_us) <= _SAME_US:
                    return one.path
            if await self._archive.is_closing():
                with contextlib.suppress(VideoStoreError):
                    await self._archive.wait_until_indexed(key.start_us, _CLOSING_S)
        return None

    async def start_of_newest_us(self, count: int, to_us: int = _ALWAYS_US) -> int | None:
        """Where the newest closed segments begin of those before a time; None if no more than `count` are stored."""
        return await start_of_newest_us(self._archive.index, count, to_us)

    async def newest_us(self) -> int | None:
        """The end of the whole fragment that was recorded last; None if nothing is stored."""
        opened = await self._opened(0, _ALWAYS_US)
        return self._open.newest_of(max((one.segment.end_us for one in opened), default=None))

    async def current_run_us(self) -> int | None:
        """When the run began that is being recorded; None if none is."""
        names = [parse_open_name(path.name) for path in await self._open.paths()]
        return max((name[0] for name in names if name is not None), default=None)

    async def extent_us(self) -> tuple[int | None, int | None]:
        """Where the recording begins and ends; None if nothing is stored."""
        return self._extent_us([one.segment for one in await self._opened(0, _ALWAYS_US)])

    def _extent_us(self, opened: Sequence[Segment]) -> tuple[int | None, int | None]:
        timeline = self._archive.timeline
        first = [one for one in (timeline.start_us, *(one.start_us for one in opened)) if one is not None]
        last = [one for one in (timeline.end_us, *(one.end_us for one in opened)) if one is not None]
        return min(first, default=None), max(last, default=None)

    async def is_recording(self) -> bool:
        """Whether a recording is in progress: a recorder has the directory, and an open segment has just grown."""
        paths = await self._open.paths()
        return bool(paths) and await off_loop(_is_recording, self._archive.directory, paths)

    async def ranges(self, asked: Range, most: int) -> ViewedRanges:
        """What is stored of a range, in at most about `most` ranges."""
        opened = [one.segment for one in await self._opened(0, _ALWAYS_US)]
        timeline = self._archive.timeline
        within = timeline.within(asked.from_us, asked.to_us)
        apart_us = 0 if within <= most else (asked.to_us - asked.from_us) // most
        ranges = timeline.summary(asked.from_us, asked.to_us, apart_us)
        spans = await self._open_ranges(opened)
        ranges = merge_ranges([*ranges, *_clipped(spans, asked)], RANGE_SLOP_US)
        damaged = await damage_within(self._archive.index, asked, MOST_DAMAGED)
        damaged += [one for segment in opened for one in segment.damaged]
        first_us, newest_us = self._extent_us(opened)
        return ViewedRanges(
            tuple(ranges),
            exact=apart_us == 0,
            damaged=damaged_within(damaged, asked),
            first_us=first_us,
            newest_us=newest_us,
        )

    async def frames_us(self, asked: Range, most: int) -> tuple[list[int], bool]:
        """Capture times of the frames of a range, in order; and whether these are all: at most `most` are told."""
        near = await self._overlapping(asked, most + 1)
        found: list[int] = []
        for segment, path, following in followed([(one.segment, one.path) for one in near]):
            if segment.start_us >= asked.to_us:
                continue
            times_us = await off_loop(segment_frames, segment, path, following)
            found += [time_us for time_us in times_us if asked.from_us <= time_us < asked.to_us]
            if len(found) > most:
                break
        found.sort()
        return found[:most], len(found) <= most

    async def _overlapping(self, asked: Range, limit: int) -> list[ViewedSegment]:
        """The first segments of a range, and those next to them: the last frames of a segment may lie behind what its
        file says is its end, in the next file."""
        before = len(await self.segments(asked.from_us - NEIGHBOUR_US, asked.from_us))
        return await self.segments(asked.from_us - NEIGHBOUR_US, asked.to_us + NEIGHBOUR_US, before + limit + 1)

    async def amount(self, asked: Range) -> tuple[int, int]:
        """About how many bytes are stored of a range, and how many microseconds."""
        total_bytes, _, length_us = await self._archive.index.amount(asked.from_us, asked.to_us)
        opened = [one.segment for one in await self._opened(asked.from_us, asked.to_us)]
        total_bytes += sum(one.size_bytes for one in opened)
        length_us += sum(one.duration_us for one in opened)
        stored_us = sum(one.to_us - one.from_us for one in (await self.ranges(asked, MOST_DAMAGED)).ranges)
        return min(total_bytes, total_bytes * stored_us // max(length_us, 1)), stored_us

    def stored_us(self, asked: Range, apart_us: int) -> int:
        """How much of a range is stored in closed segments, with gaps shorter than `apart_us`."""
        found = self._archive.timeline.summary(asked.from_us, asked.to_us, apart_us)
        return sum(one.to_us - one.from_us for one in found)

    async def newest(self) -> ViewedSegment | None:
        """The segment that ends last; None if nothing is stored."""
        newest_us = await self.newest_us()
        found = [] if newest_us is None else await self.segments(newest_us - 1, newest_us)
        return max(found, key=lambda one: one.segment.end_us, default=None)

    async def gaps(self, asked: Range) -> list[RecordingGap]:
        """The gaps in a range whose reasons are known."""
        if self._archive.read_only:
            await self._notes.load()
        replaced = [one.gap for one in await off_loop(self._archive.replaced.look)]
        known = [*self._notes.gaps, *(one for one in replaced if one is not None)]
        return [one for one in known if one.from_us < asked.to_us and one.to_us > asked.from_us]

    async def events(self, asked: Range) -> list[Event]:
        """The events whose ranges overlap a range."""
        if self._archive.read_only:
            await self._notes.load()
        return [one for one in self._notes.events if one.from_us < asked.to_us and one.to_us >= asked.from_us]

    async def outcomes(self, events: Iterable[Event]) -> dict[str, SaveOutcome]:
        """What became of the clips of events, by their file names; without those of which the index knows nothing."""
        names = {one.file_name for one in events if one.file_name}
        if not names:
            return {}
        # A reader's index is a copy, which learns of new segments by their files alone.
        if self._archive.read_only and (known := await self._saves.outcomes(names)) is not None:
            return known
        return {name: one for name, one in (await self._archive.index.outcomes()).items() if name in names}

    async def _open_ranges(self, opened: Sequence[Segment]) -> list[Range]:
        if not opened:
            return []
        before_us = min(one.start_us for one in opened) - NEIGHBOUR_US
        closed = await self._archive.index.select(before_us, max(one.end_us for one in opened) + NEIGHBOUR_US)
        return [*(Range(one.start_us, one.end_us) for one in opened), *joins([*closed, *opened])]

    async def _opened(self, from_us: int, to_us: int) -> list[ViewedSegment]:
        return [
            ViewedSegment(SegmentKey.of(one.segment), one.segment, one.path, one.content)
            for one in await self._open.read(from_us, to_us)
        ]


def _is_recording(directory: Path, opened: Sequence[Path]) -> bool:
    """Blocking."""
    for path in opened:
        with contextlib.suppress(OSError):
            if abs(time.time() - path.stat().st_mtime) < _GROWS_WITHIN_S:
                return is_locked(directory)
    return False


def _clipped(ranges: Sequence[Range], asked: Range) -> list[Range]:
    found = (Range(max(one.from_us, asked.from_us), min(one.to_us, asked.to_us)) for one in ranges)
    return [one for one in found if one.from_us < one.to_us]
