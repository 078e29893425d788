"""Finds what is stored of a range, and makes a plan of it."""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from videostore.base.constants import KNOWN_WITHIN_S, NEIGHBOUR_US, RANGE_SLOP_US
from videostore.base.errors import (
    NothingStoredError,
    RequestError,
    UnreadableRangeError,
    VideoStoreError,
    reason_of,
)
from videostore.base.ranges import UNREADABLE, Range, damaged_within
from videostore.base.tasks import off_loop
from videostore.clips.compact_list import CompactList
from videostore.clips.frame_reader import NO_DAMAGE, Damage, find_undecodable, find_undecodable_borrowed
from videostore.clips.intact_stretches import divide_broken
from videostore.clips.nearest_frames import nearest_frames
from videostore.clips.plan import ClipPart, Plan, make_plan
from videostore.clips.segment_links import SegmentLinks
from videostore.clips.segment_order import sort_segments
from videostore.media.segment import Segment
from videostore.media.segment_names import parse_open_name
from videostore.storage.archive import Archive
from videostore.storage.open_segments import stored_timeline

FindOpenSegments = Callable[[int, int], Awaitable[list[tuple[Segment, Path]]]]
"""Finds the segments that overlap a range and are not closed, or not in the index yet."""

_ALWAYS_US = 1 << 62
_LOOKS = 2
"""How often a range is looked for in which something was stored only after the look."""
_NOTHING = frozenset({"storage-empty", "nothing-in-range"})
"""Errors that tell that nothing of a range is stored."""


class _Faults(logging.Logger):
    """Knows whether there was something to tell."""

    told = False

    def handle(self, record: logging.LogRecord) -> None:
        self.told = True


class ClipPlanner:
    """Makes plans of what is stored in one archive."""

    def __init__(self, archive: Archive, open_segments: FindOpenSegments, logger: logging.Logger) -> None:
        self._archive = archive
        self._open_segments = open_segments
        self._logger = logger

    async def plan(self, asked: Range, links: SegmentLinks, *, check: bool = True) -> Plan:
        """The plan for a range. Its segments stay readable as long as `links`.

        To `check` the frames, they are read; else `checked` does that, which can go on while the clip is made.

        Nothing is copied but what can be read of damaged segments, to the directory of the links.

        Raises:
            NothingStoredError: nothing is stored in the range.
            UnreadableRangeError: what is stored there cannot be read.
            VideoStoreError: the storage cannot be read at the moment, or the index is being rebuilt.
        """
        for _ in range(_LOOKS):
            try:
                plan = await self._make(asked, await self._find_indexed(asked, links), links.work, check=check)
            except OSError as error:
                raise VideoStoreError("recording-unreadable", reason=reason_of(error)) from error
            if plan.parts:
                return plan
            reason = await self.nothing_to_cut(plan)
            if _was_found(plan) or reason.code in _NOTHING:
                break
        raise reason

    async def plan_window(
        self,
        found: Sequence[tuple[Segment, Path]],
        asked: Range,
        work: Path,
        *,
        goes_on: bool,
        behind: Segment | None = None,
    ) -> Plan:
        """The plan for a range, of segments that were found; it may have no parts. `goes_on`: a window follows. It is
        put `behind` a window that goes on and ends with that segment.

        Raises:
            VideoStoreError: the storage cannot be read at the moment.
        """
        try:
            return await self._make(asked, found, work, goes_on=goes_on, behind=behind)
        except OSError as error:
            raise VideoStoreError("recording-unreadable", reason=reason_of(error)) from error

    async def find(self, asked: Range, links: SegmentLinks, limit: int) -> tuple[Sequence[tuple[Segment, Path]], bool]:
        """What is stored of the range and before it, but at most `limit` closed segments of the range itself.

        Also returns whether there are more.

        Raises:
            VideoStoreError: the storage cannot be read at the moment, or the index is being rebuilt.
        """
        try:
            found = await self._find_indexed(asked, links, limit)
        except OSError as error:
            raise VideoStoreError("recording-unreadable", reason=reason_of(error)) from error
        closed = sum(one.end_us > asked.from_us and not parse_open_name(one.file_name) for one, _ in found)
        return found, closed >= limit

    async def checked(self, plan: Plan, work: Path) -> Plan | None:
        """A plan without the frames that are damaged, which are read for that; None if none are.

        Raises:
            NothingStoredError, UnreadableRangeError: nothing is left of it.
            VideoStoreError: the storage cannot be read at the moment.
        """
        try:
            better = await self._make(plan.asked, plan.found, work, damage=plan.damage)
        except OSError as error:
            raise VideoStoreError("recording-unreadable", reason=reason_of(error)) from error
        if await off_loop(_are_same, better.parts, plan.parts):
            return None
        if not better.parts:
            raise await self.nothing_to_cut(better)
        return better

    async def replan(self, plan: Plan, work: Path, decoded: Iterable[ClipPart] = ()) -> Plan | None:
        """A plan without what turns out to be damaged after ffmpeg complained; None if nothing is.

        The parts that ffmpeg has `decoded` are decoded again: what it filled in is no recording. What can be read of
        damaged segments is copied to `work`.

        Raises:
            NothingStoredError, UnreadableRangeError: nothing is left of it.
            OSError: the storage cannot be read at the moment.
        """
        damage = dict(plan.damage)
        for part in decoded:
            shown = Range(part.first_us, part.end_us if part.stop_us is None else part.stop_us)
            with contextlib.suppress(FileNotFoundError):
                lost = await off_loop(find_undecodable, part.segment, part.path, shown)
                name = part.segment.file_name
                damage[name] = damage.get(name, frozenset()) | lost
            behind = next((one for one, path in plan.found if _is_borrowed(part, path)), None)
            if behind is not None and part.borrowed is not None:
                with contextlib.suppress(FileNotFoundError):
                    borrowed = part.segment, part.path, behind, part.borrowed.path
                    lost = await off_loop(find_undecodable_borrowed, *borrowed)
                    damage[behind.file_name] = damage.get(behind.file_name, frozenset()) | lost
        make = functools.partial(self._make, plan.asked, plan.found, work, goes_on=plan.goes_on, behind=plan.behind)
        better = await make(thorough=True, damage=damage)
        if await off_loop(_are_same, better.parts, plan.parts):
            return None
        if not better.parts:
            raise await self.nothing_to_cut(better)
        return better

    async def _make(
        self,
        asked: Range,
        found: Sequence[tuple[Segment, Path]],
        work: Path,
        *,
        thorough: bool = False,
        check: bool = True,
        damage: Damage = NO_DAMAGE,
        goes_on: bool = False,
        behind: Segment | None = None,
    ) -> Plan:
        make = functools.partial(
            make_plan,
            asked=asked,
            logger=self._logger,
            thorough=thorough,
            damage=damage,
            goes_on=goes_on,
            behind=behind,
        )
        if not check:
            faults = _Faults(__name__)
            plan = await off_loop(functools.partial(make_plan, found, asked, faults, check=False, damage=damage))
            if not (faults.told or plan.broken):
                return replace(plan, work=work)
        plan = await off_loop(make, found)
        if plan.broken:
            # What is read of an earlier plan meanwhile is in another directory.
            stretches = await off_loop(divide_broken, plan, Path(await off_loop(tempfile.mkdtemp, "", "", work)))
            damaged = plan.damaged  # the copies no longer tell what is not in them
            plan = await off_loop(make, stretches)
            plan = replace(plan, found=found, damaged=damaged_within((*damaged, *plan.damaged), asked))
        return replace(plan, work=work)

    async def _find_indexed(
        self, asked: Range, links: SegmentLinks, limit: int | None = None
    ) -> Sequence[tuple[Segment, Path]]:
        """What is stored of the range, found while the index knows all of the range."""
        while True:
            await self._archive.wait_until_indexed(asked.from_us, KNOWN_WITHIN_S)
            try:
                found = await self._find(asked, links, limit)
            except FileNotFoundError:
                if not self._archive.read_only:
                    raise
                continue  # the recorder closed a segment just now
            if await self._archive.is_indexed_since(asked.from_us):
                return found

    async def _find(self, asked: Range, links: SegmentLinks, limit: int | None) -> Sequence[tuple[Segment, Path]]:
        """Stored segments and the neighbours of the range, under names that last as long as the links.

        Open segments are linked as well, not copied: what is read of them ends with the fragments that are whole now.
        """
        from_us, to_us = asked.from_us - NEIGHBOUR_US, asked.to_us + NEIGHBOUR_US
        async with self._archive.steady():
            opened = await self._open_segments(from_us, to_us)
            closed, page = CompactList[Segment](), list[Segment]()
            if limit is None:
                async for following in self._archive.index.pages(from_us, to_us):
                    if page:
                        await off_loop(closed.extend, page)
                    page = following
            else:
                page = await self._select_first(asked, limit)
            found = await off_loop(_link_each, links, closed, page, opened)
        return await off_loop(sort_segments, found)

    async def _select_first(self, asked: Range, limit: int) -> list[Segment]:
        index = self._archive.index
        before = await index.select(asked.from_us - NEIGHBOUR_US, asked.from_us)
        inside = await index.select(asked.from_us, asked.to_us + NEIGHBOUR_US, limit)
        return list({one.file_name: one for one in (*before, *inside)}.values())

    async def nothing_to_cut(self, plan: Plan) -> RequestError:
        """Why a plan has no parts: nothing is stored, or it cannot be read."""
        asked = plan.asked
        if _was_found(plan) and (not plan.ranges or any(one.reason == UNREADABLE for one in plan.damaged)):
            return UnreadableRangeError("range-unreadable", asked=asked)
        async with self._archive.steady():
            opened = await self._open_segments(0, _ALWAYS_US)
            timeline = await stored_timeline(self._archive, [one for one, _ in opened])
        nearest = timeline.nearest(asked.from_us, asked.to_us)
        if nearest is None:
            return NothingStoredError("storage-empty", asked=asked)
        if nearest.to_us <= asked.from_us or nearest.from_us >= asked.to_us:
            return NothingStoredError("nothing-in-range", asked=asked, nearest=nearest, reason=None)
        return await self._between_frames(asked, nearest)

    async def _between_frames(self, asked: Range, stored: Range) -> RequestError:
        """Why a plan has no parts though its range lies in a stored one: no frame was captured in it."""
        from_us, to_us = asked.from_us - NEIGHBOUR_US - RANGE_SLOP_US, asked.to_us + NEIGHBOUR_US + RANGE_SLOP_US
        async with self._archive.steady():
            closed = await self._archive.index.select(from_us, to_us)
            found = [(one, self._archive.directory / one.file_name) for one in closed]
            found += await self._open_segments(from_us, to_us)
            frames = await off_loop(nearest_frames, found, asked)
        before_us, after_us = frames
        if before_us is not None and after_us is not None:
            fields = {"before_us": before_us, "after_us": after_us}
            return NothingStoredError("no-frame-in-range", asked=asked, nearest=stored, **fields)
        if before_us is not None:
            return NothingStoredError("no-frame-after", asked=asked, nearest=stored, before_us=before_us)
        if after_us is not None:
            return NothingStoredError("no-frame-before", asked=asked, nearest=stored, after_us=after_us)
        return UnreadableRangeError("range-unreadable", asked=asked)


def _was_found(plan: Plan) -> bool:
    """Whether any of the range of a plan was stored when it was made. It may have come since."""
    return any(one.start_us < plan.asked.to_us and one.end_us > plan.asked.from_us for one, _ in plan.found)


def _is_borrowed(part: ClipPart, path: Path) -> bool:
    """Whether the last frames of a part are in a file."""
    return part.borrowed is not None and part.borrowed.path == path.absolute()


def _are_same(parts: Sequence[ClipPart], others: Sequence[ClipPart]) -> bool:
    """Whether two plans have the same parts, wherever copies are."""
    if len(parts) != len(others):
        return False
    return all(replace(one, path=other.path) == other for one, other in zip(parts, others, strict=True))


def _link_each(
    links: SegmentLinks,
    closed: CompactList[Segment],
    more: Sequence[Segment],
    opened: Sequence[tuple[Segment, Path]],
) -> Sequence[tuple[Segment, Path]]:
    """Blocking. Read-only, a segment that its recorder is closing may have both names: the closed one counts."""
    closed.extend(more)
    places = {(segment.run_us, segment.start_us) for segment, _ in opened}
    known = places.intersection((one.run_us, one.start_us) for one in closed) if places else places
    return links.link(closed, [one for one in opened if (one[0].run_us, one[0].start_us) not in known])
