"""Windows: a range of any length, planned a few segments at a time, each when its turn comes.

A window ends where a segment begins whose frames all come after those before it. So a window is copied from there on,
and the clip of all windows together is that of the whole range.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import FFmpegError, VideoStoreError
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop, run_in_thread
from videostore.clips.borrowed_frames import runs_on
from videostore.clips.place import Fit
from videostore.clips.plan import ClipPart, Plan, groups_of
from videostore.clips.plan_head import delay_us, far_before_us, head_to_us
from videostore.clips.planner import ClipPlanner
from videostore.clips.segment_links import SegmentLinks
from videostore.clips.segment_order import touch
from videostore.clips.workspace import Workspaces
from videostore.media.segment import Segment
from videostore.media.segment_names import parse_open_name
from videostore.storage.archive import Archive

FIRST_SEGMENTS = 2
"""The first window has one segment, and knows where the next one begins: that is read in a few hundredths of a second,
also where frames are checked."""
MOST_SEGMENTS = 64
"""Half an hour. Each window doubles up to this: the plan of one takes little memory, and its pause nobody sees."""

_LAST_FRAME_US = US_PER_SECOND
"""How long the last frame of a run lasts is a guess, and at most this."""

Found = Sequence[tuple[Segment, Path]]


@dataclass(slots=True)
class Window:
    """A stretch of a range, of which all that is needed to make its clip is known."""

    plan: Plan
    """Without parts where no frame is stored."""
    position_us: int
    """Where its first frame is in the clip of the whole range."""
    last: bool
    """Whether nothing more is stored of the range."""
    delay_us: int = 0
    """How long before it is shown each frame must be decoded, if all of it is encoded, for what is copied behind it."""
    all_of_it: Plan | None = None
    """The plan of all of the range, if it is the first window and that is known."""
    header: Plan | None = None
    """A plan of one frame, of which the stream's header can be made, if it is the first window and much must be decoded
    before its first frame."""
    lost: bool = False
    """Whether nothing of it could be read in the end: it is not in the clip."""


class Windows:
    """Goes through a range, window by window. Owns the workspace and the links of one window at a time."""

    def __init__(self, planner: ClipPlanner, archive: Archive, workspaces: Workspaces, asked: Range) -> None:
        self._planner = planner
        self._archive = archive
        self._workspaces = workspaces
        self.asked = asked
        self._limit = FIRST_SEGMENTS
        self._done: Segment | None = None
        """The last segment that was gone through to its end."""
        self._inside: Segment | None = None
        """The segment that was gone through up to `_at_us`."""
        self._at_us = asked.from_us
        self._anchor: tuple[Segment, int] | None = None
        """The last segment that is in the clip, and where its start is there."""
        self._went_on = False
        """Whether the last window left to the next one what the file of that holds of it."""
        self._copies = False
        """Whether a window was gone through to the place up to which it was planned, so that copying has begun."""
        self.passed = 0
        """How many windows with frames were gone through."""
        self.fit: Fit | None = None
        """What several formats are re-encoded to; None if there is to be one."""

        self._runs: set[int] = set()
        """Those that were gone through, or seen being written."""
        self._is_live = False
        """Whether what it goes through is still being recorded."""
        self._newest: tuple[str, int] | None = None
        """The newest segment that was found so far, and since when."""

    def waited_us(self, newest: Segment, now_us: int) -> int:
        """For how long a segment has been the newest one of the range that is followed."""
        if self._newest is None or self._newest[0] != newest.file_name:
            self._newest = newest.file_name, now_us
        return now_us - self._newest[1]

    @property
    def at_us(self) -> int:
        """Up to where the range was gone through."""
        return self._at_us

    @property
    def found_any(self) -> bool:
        """Whether a window had frames."""
        return self.passed > 0

    @contextlib.asynccontextmanager
    async def next(self, to_us: int, head_us: int | None = None) -> AsyncIterator[Window]:
        """The next window, which ends at `to_us` at the latest, and after `head_us` if much more must be encoded before
        copying begins.

        Its segments stay readable until the context ends. What it holds is gone through then.

        Raises:
            FFmpegError: the recording changes its format there, or a segment is gone that was there before.
            VideoStoreError: the storage cannot be read at the moment.
        """
        asked = Range(self._at_us, to_us)
        async with self._workspaces.make() as work:
            links = SegmentLinks(self._archive.directory, work, read_only=self._archive.read_only)
            try:
                found, border = await self._find(asked, links)
                plan = await self._plan(found, border, asked, work)
                last = border is None
                while border is not None and not self._copies and _is_only_head(plan):
                    found, border = (found, None) if self._is_live else await self._find(asked, links)
                    last = border is None and not self._is_live
                    plan = await self._plan(found, border, asked, work)
                all_of_it, delayed_us = plan if last and not self._anchor else None, 0
                ends_us = None if head_us is None else head_to_us(plan, head_us, _ends(found))
                if ends_us is not None:
                    self._limit = max(self._limit // 2, FIRST_SEGMENTS)
                    border, to_us, last, delayed_us = None, ends_us, False, delay_us(plan)
                    plan = await self._plan(found, None, Range(asked.from_us, to_us), work)
                position_us = self._position_us(plan.parts[0]) if plan.parts else 0
                header = await self._header(found, plan, work) if self._anchor is None else None
                window = Window(plan, position_us, last, delayed_us, all_of_it, header)
                yield window
                if window.lost:
                    plan = replace(plan, parts=())
                self._copies = self._copies or (ends_us is None and bool(plan.parts))
                self._pass(found, border, plan, to_us)
            finally:
                await run_in_thread(links.close)

    async def _find(self, asked: Range, links: SegmentLinks) -> tuple[Found, Segment | None]:
        """The segments of the next window, and the one behind it, with which the one after it begins."""
        limit, self._limit = self._limit, min(self._limit * 2, MOST_SEGMENTS)
        while True:
            found, more = await self._planner.find(asked, links, limit)
            found = [one for one in found if not self.is_done(one[0])]
            if not more:
                return self._up_to_border(found, asked.to_us)
            # Of open segments it is not known which closed ones are before them.
            known_us = max(one.start_us for one, _ in found if not parse_open_name(one.file_name))
            if known_us >= asked.to_us:
                return self._up_to_border(found, asked.to_us)
            found = [one for one in found if one[0].start_us <= known_us]
            at = await off_loop(_last_border, found, asked.from_us)
            # The last segment may have to be re-encoded, to which an open GOP needs the one before it.
            if at is not None and found[at][0].end_us + _LAST_FRAME_US < asked.to_us:
                return found[: at + 1], found[at][0]
            limit *= 4

    def _up_to_border(self, found: Found, to_us: int) -> tuple[Found, Segment | None]:
        """The same up to the segment with which the next window begins, if that is known while a recording goes on."""
        at = _border_at(found, to_us) if self._is_live and to_us < self.asked.to_us else None
        return (found, None) if at is None else (found[: at + 1], found[at][0])

    def check_clock(self, opened: Sequence[Segment], known: Sequence[Segment]) -> None:
        """Check that no run that was not seen before begins at a time that was gone through, or before the end of
        another one that is `known`.

        Raises:
            VideoStoreError: one has: the clock was set back.
        """
        self._is_live = True
        for run_us in {one.run_us for one in opened if one.run_us is not None} - self._runs:
            ended_us = max((one.end_us for one in known if one.run_us != run_us), default=0)
            if self.found_any and run_us < max(self._at_us, ended_us - _LAST_FRAME_US):
                raise VideoStoreError("stream-clock-set-back", at_us=run_us)
            self._runs.add(run_us)

    def _check_runs(self, plan: Plan) -> None:
        """The same of runs of which segments were closed before they were seen being written."""
        segments = [part.segment for part in plan.parts]
        for run_us in {one.run_us for one in segments if one.run_us is not None} - self._runs:
            ended_us = max((one.end_us for one in segments if one.run_us != run_us), default=0)
            if self.found_any and self.asked.from_us <= run_us < max(self._at_us, ended_us - _LAST_FRAME_US):
                raise VideoStoreError("stream-clock-set-back", at_us=run_us)

    def is_done(self, segment: Segment) -> bool:
        """Whether a segment was gone through to its end."""
        return self._done is not None and segment.start_us <= self._done.start_us

    async def _plan(self, found: Found, border: Segment | None, asked: Range, work: Path) -> Plan:
        to_us = asked.to_us if border is None else border.start_us
        # What it needs to be decoded is in the window before, as in a clip of both.
        behind = self._anchor[0] if self._anchor is not None and self._went_on and self._inside is None else None
        asked = Range(asked.from_us, to_us)
        plan = await self._planner.plan_window(found, asked, work, goes_on=border is not None, behind=behind)
        await off_loop(_check_present, found, plan)
        if self._is_live:
            self._check_runs(plan)  # a step back of the clock is named, whatever else differs behind it
        if not plan.parts:
            return plan
        groups = groups_of(plan.parts)
        if self.fit is None and len(groups) > 1:
            raise FFmpegError("stream-format-changed", at_us=groups[1][0].first_us)
        if self.fit is not None and not self.fit.is_met_by(groups):
            if border is not None:  # what is encoded is not decoded with the next window: it borrows of that
                plan = await self._planner.plan_window(found, asked, work, goes_on=False, behind=behind)
            plan = self.fit.reencoded(plan)
        return plan

    async def _header(self, found: Found, plan: Plan, work: Path) -> Plan | None:
        at_us = await off_loop(far_before_us, plan)
        if at_us is None:
            return None
        header = await self._plan(found, None, Range(at_us, at_us + 1), work)
        return replace(header, work=None) if header.parts else None

    def _position_us(self, first: ClipPart) -> int:
        if self._anchor is None:
            return 0
        before, position_us = self._anchor
        segment = first.segment
        if (before.run_us, before.start_us) == (segment.run_us, segment.start_us):
            return position_us + first.first_us - segment.start_us
        return position_us + _length_us(before, segment)

    def _pass(self, found: Found, border: Segment | None, plan: Plan, to_us: int) -> None:
        """The window is in the clip."""
        if plan.parts:
            first, last = plan.parts[0], plan.parts[-1]
            position_us = self._position_us(first) - first.skip_us
            for one in list(plan.parts)[:-1]:
                position_us += one.length_us
            self._anchor, self._went_on = (last.segment, position_us), plan.goes_on
            self.passed += 1
            self._runs |= {part.segment.run_us for part in plan.parts if part.segment.run_us is not None}
        self._inside = None
        if border is not None:
            passed = [one for one, _ in found if one.start_us < border.start_us]
            self._done = max([*passed, *([self._done] if self._done else [])], key=lambda one: one.start_us)
            self._at_us = border.start_us
            return
        ends = list(_ends(found))
        self._inside = next((one for one, end_us in ends if one.start_us < to_us < end_us), None)
        # One that begins later may end before: it is behind this place then, and is not found again.
        first_us = min((one.start_us for one, end_us in ends if one.start_us < to_us < end_us), default=to_us)
        ended = [one for one, end_us in ends if end_us <= to_us and one.start_us < first_us]
        if ended:
            self._done = max([*ended, *([self._done] if self._done else [])], key=lambda one: one.start_us)
        # Where a segment ends is a guess, and the next one may begin a little earlier.
        self._at_us = to_us if self._inside is not None or not ended else max(one.start_us for one in ended) + 1


def _length_us(segment: Segment, after: Segment) -> int:
    """How long a segment is in a clip in which another one follows it."""
    ours = segment.run_us is not None
    return (after.start_us if ours and touch(segment, after) else segment.end_us) - segment.start_us


def _ends(found: Found) -> Iterator[tuple[Segment, int]]:
    """Segments, and where they end: where the next one of the run begins, which may hold their last frames."""
    for (one, _), following in zip_longest(found, islice(found, 1, None)):
        goes_on = following is not None and runs_on(one, following[0])
        yield one, max(one.end_us, following[0].start_us) if following is not None and goes_on else one.end_us


def _is_only_head(plan: Plan) -> bool:
    """Whether nothing of a plan can be copied: then it does not show how what follows is decoded."""
    return bool(plan.parts) and all(part.was_read and part.copy.keyframe_us is None for part in plan.parts)


def _last_border(found: Found, from_us: int) -> int | None:
    """The last place behind the beginning of a range at which the segments can be divided: none before it reaches
    beyond the start of one behind it.
    """
    segments = [one for one, _ in found]
    latest_us, borders = -(1 << 62), []
    for at, segment in enumerate(segments):
        if at:
            before = segments[at - 1]
            goes_on = runs_on(before, segment)
            reached_us = latest_us if goes_on else max(latest_us, before.end_us)
            if from_us < segment.start_us and reached_us <= segment.start_us and before.start_us < segment.start_us:
                borders.append(at)
            latest_us = max(latest_us, min(before.end_us, segment.start_us) if goes_on else before.end_us)
    earliest_us = 1 << 62
    for at in range(len(segments) - 1, 0, -1):
        earliest_us = min(earliest_us, segments[at].start_us)
        if at in borders and segments[at].start_us <= earliest_us:
            return at
    return None


def _border_at(found: Found, to_us: int) -> int | None:
    """The place of the segment that begins where a window ends, and goes on from the one before."""
    for at in range(1, len(found)):
        if found[at][0].start_us == to_us and runs_on(found[at - 1][0], found[at][0]):
            return at
    return None


def _check_present(found: Found, plan: Plan) -> None:
    """Blocking.

    Raises:
        FFmpegError: a file of the window is gone, which the index lists. It is missing from the clip.
    """
    used = {part.segment.file_name for part in plan.parts}
    for segment, path in found:
        inside = segment.start_us < plan.asked.to_us and segment.end_us > plan.asked.from_us
        if inside and segment.file_name not in used and not path.exists():
            raise FFmpegError("clip-incomplete")
