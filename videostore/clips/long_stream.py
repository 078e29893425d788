"""A long stream: the clip of a range of any length as one fragmented MP4, which begins before all of it is planned.

It is made window by window (`Windows`), each by an ffmpeg of its own, whose fragments a `FragmentJoiner` numbers
through. It can follow a recording that goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from videostore.base.clock import Clock
from videostore.base.constants import CLOCK_LEEWAY_US, LONGEST_SEGMENT_US, US_PER_SECOND
from videostore.base.errors import FFmpegError, NothingStoredError, UnreadableRangeError, VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.clips.cutter import ClipCutter
from videostore.clips.early_header import OtherHeaderError, header_first, header_of
from videostore.clips.long_format import LongFormat, LongFormats
from videostore.clips.place import Place
from videostore.clips.plan import Plan
from videostore.clips.planner import FindOpenSegments
from videostore.clips.turns import Turns
from videostore.clips.windows import Window, Windows
from videostore.media.fmp4 import read_fragments
from videostore.media.fragment_joiner import FragmentJoiner
from videostore.media.fragmented_file import NotOursError
from videostore.media.segment import Segment
from videostore.storage.archive import Archive
from videostore.storage.segment_kinds import count_of, first_of

_LOOK_S = 0.2
"""How often the recording is looked at while it is followed. What is new of it is two keyframes behind: one to know
that the frames before are whole, one to know how long the last of them lasts."""
_FIRST_FRAME_US = 20 * US_PER_SECOND
"""So long a stream that is followed waits for its first frame."""
_REENCODED_US = (US_PER_SECOND // 8, US_PER_SECOND // 2, 2 * US_PER_SECOND, 8 * US_PER_SECOND)
"""So much is re-encoded at a time, where the format changes, and of what is before the first keyframe: little at first,
so that the stream begins soon."""
_LOOKED_AT = 5
"""Segments that overlap the end of a window, of which all but one are behind it."""
_APPEARS_US = 5 * US_PER_SECOND
"""The file behind a closed one may hold the last frames of it (open GOPs). So long it is waited for."""
_REMEMBERED = 100
"""Damaged segments that are remembered."""
_ALWAYS_US = 1 << 62
_EXPECTED_US = 3600 * US_PER_SECOND
"""How far ahead of its place a stream that is followed holds the recording."""


class LongStream:
    """Makes one stream. Owns what it takes until `blocks` ends or is closed."""

    def __init__(
        self, clips: ClipCutter, archive: Archive, opened: FindOpenSegments, clock: Clock, turns: Turns
    ) -> None:
        self._clips = clips
        self._archive = archive
        self._opened = opened
        self.formats = LongFormats(archive, opened)
        self._clock = clock
        self._damaged: set[str] = set()
        """Segments of which less could be decoded than a stream had told."""
        self.turns = turns
        """Those of all videos that are sent, whether they are long or not."""

    async def blocks(
        self, asked: Range, format: LongFormat | None = None, *, follow: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Yield the clip in a format, block by block as they are taken. To follow, `asked` may end at any time in the
        future, and the format is found when there is something.

        While the recording goes on, empty blocks come: a chance to end.

        Raises:
            NothingStoredError, UnreadableRangeError: there is no frame; before the first block.
            FFmpegError: the clip could not be made to its end, or the recording goes on in a format for which the
                stream has no place.
        """
        stored, newest_us = await count_of(self._archive.index, asked.from_us, asked.to_us)
        windows = Windows(self._clips.planner, self._archive, self._clips.workspaces, asked)
        joiner, place = FragmentJoiner(), Place()
        with contextlib.ExitStack() as hold:
            self._hold(hold, windows, asked, follow=follow)
            async with self.turns.turn():
                waited_until_us = self._clock.monotonic_us() + _FIRST_FRAME_US
                while True:
                    if follow:
                        found = await self._newest(windows, asked.to_us)
                        if found is None:
                            if not windows.found_any and self._clock.monotonic_us() > waited_until_us:
                                raise await self._nothing(asked)
                            yield b""
                            await asyncio.sleep(_LOOK_S)
                            continue
                        to_us, final = found
                        self._hold(hold, windows, asked, follow=True)
                        if format is None:
                            format = await self.formats.find(Range(asked.from_us, to_us), follow=True)
                    else:
                        to_us = await self._next_end(windows, asked, format)
                        final = to_us >= asked.to_us
                    assert format is not None
                    windows.fit, place.fit, place.sound = format.fit, format.fit, format.sound
                    async with windows.next(to_us, _step_us(windows)) as window:
                        if window.plan.parts:
                            place.position_us, place.delay_us = window.position_us, window.delay_us
                            place.more = follow or not (window.last and final)
                            if place.first and final and not follow:
                                place.told, place.told_with = self._sure(window.all_of_it), window.plan
                            begun = False
                            async with contextlib.aclosing(self._begun_soon(window, place)) as blocks:
                                async for block in blocks:
                                    if not begun:
                                        joiner.next_file()
                                        begun = True
                                    yield _joined(joiner, block)
                            if not window.lost:
                                place.pass_on()
                    if window.last and final:
                        break
        joiner.next_file()
        if not windows.found_any:
            raise await self._clips.planner.nothing_to_cut(replace(window.plan, asked=asked))
        if newest_us is not None and not follow:
            left, _ = await count_of(self._archive.index, asked.from_us, newest_us + 1)
            if left < stored:  # it may be missing from the clip
                raise FFmpegError("clip-incomplete")

    async def prepare(self, at_us: int) -> None:
        """Encode what the header of a stream is made of that begins at the frame of this time.

        Raises:
            VideoStoreError, ValueError: it cannot be made.
        """
        asked = Range(at_us, at_us + 1)
        format = await self.formats.find(asked, short=True)
        windows = Windows(self._clips.planner, self._archive, self._clips.workspaces, asked)
        with self._clips.holds.hold(asked.from_us, asked.to_us):
            async with self.turns.turn(), windows.next(asked.to_us) as window:
                if format is not None and window.plan.parts:
                    place = Place(fit=format.fit, sound=format.sound, header_of=window.plan)
                    await header_of(self._clips.stream(replace(window.plan, work=None), place=place))

    async def _begun_soon(self, window: Window, place: Place) -> AsyncGenerator[bytes, None]:
        """The clip of a window, and its header before that, if its first frame is decoded late.

        Raises:
            FFmpegError: as `_part`, or it is another clip than the header told.
        """
        header, encoded = None, asyncio.Event()
        if window.header is not None and self._sure(window.plan) is not None:
            of = replace(place, header_of=window.plan, encoded=encoded)
            header = self._clips.stream(window.header, place=of)
        try:
            part = self._part(window, place)
            async with contextlib.aclosing(part), contextlib.aclosing(header_first(header, part, encoded)) as blocks:
                async for block in blocks:
                    yield block
        except OtherHeaderError as error:
            self._remember_damage(window.plan)
            raise FFmpegError("clip-incomplete") from error

    async def _part(self, window: Window, place: Place) -> AsyncGenerator[bytes, None]:
        """The clip of a window. What turns out to be damaged is left out, be it all of it.

        Raises:
            FFmpegError: it could not be made to its end, or the stream has told of something that is left out.
        """
        begun, made = False, window.plan

        def carried_out(plan: Plan) -> None:
            nonlocal made
            made = plan

        try:
            making = self._clips.stream(window.plan, place=place, on_plan=carried_out)
            async with contextlib.aclosing(making) as blocks:
                async for block in blocks:
                    begun = True
                    yield block
        except (NothingStoredError, UnreadableRangeError):
            if begun:
                raise
            window.lost = True
        if place.told is not None and (window.lost or made is not window.plan):
            if not place.first:
                self._remember_damage(place.told)
                raise FFmpegError("clip-incomplete")
            place.told = None

    def _sure(self, plan: Plan | None) -> Plan | None:
        """A plan, unless it may hold more than can be decoded: then it cannot be told before that is tried."""
        sure = plan is not None and self._damaged.isdisjoint(_names(plan))
        return plan if sure else None

    def _remember_damage(self, plan: Plan) -> None:
        if len(self._damaged) >= _REMEMBERED:
            self._damaged.clear()
        self._damaged.update(_names(plan))

    async def _next_end(self, windows: Windows, asked: Range, format: LongFormat | None) -> int:
        """Where the next window ends at the latest: where the format changes, and where it is re-encoded, soon."""
        if format is None or format.fit is None:
            return asked.to_us
        index = self._archive.index
        found = await index.select(windows.at_us, asked.to_us, _LOOKED_AT)
        following = next((one for one in found if not windows.is_done(one)), None)
        if following is None:
            return asked.to_us
        # Segments may overlap, and the window must get beyond where the one before it ended.
        begin_us = max(windows.at_us, following.start_us)
        beside = [one for one in found if one.start_us <= begin_us and not windows.is_done(one)]
        if all(map(format.copies, beside)):
            like = following.codec, following.width, following.height
            to_us = await first_of(index, begin_us + 1, asked.to_us, *like, other=True) or asked.to_us
            return await self._undivided(windows, to_us, asked.to_us)
        to_us = min(asked.to_us, begin_us + _step_us(windows))
        if format.fit.copied is not None:
            size = format.fit.width, format.fit.height
            to_us = await first_of(index, begin_us + 1, to_us, format.fit.copied[0], *size) or to_us
        return await self._undivided(windows, to_us, asked.to_us)

    async def _undivided(self, windows: Windows, to_us: int, last_us: int) -> int:
        """The first place from `to_us` on that divides no segment which another one may follow that overlaps it. A clip
        has one behind the other, so that what another window has of the first one would come behind the second one."""
        index = self._archive.index
        while to_us < last_us:
            found = await index.select(to_us, to_us + 1)
            inside = [one for one in found if one.start_us < to_us and not windows.is_done(one)]
            if not inside:
                return to_us
            begin_us = min(one.start_us for one in inside)
            beside = [one for one in await index.select(begin_us, to_us) if not windows.is_done(one)]
            if len(inside) < 2 and not any(_may_follow(one, inside[0]) for one in beside):
                return to_us
            to_us = max(one.end_us for one in inside)
        return last_us

    def _hold(self, hold: contextlib.ExitStack, windows: Windows, asked: Range, *, follow: bool) -> None:
        """Keep what is still to come, and give up what was kept before."""
        before = hold.pop_all()
        ahead_us = windows.at_us + _EXPECTED_US
        hold.enter_context(self._clips.holds.hold(windows.at_us, ahead_us if follow else asked.to_us))
        before.close()

    async def _newest(self, windows: Windows, to_us: int) -> tuple[int, bool] | None:
        """Up to where the recording can be taken over now, and whether that is the end; None if nothing is new.

        Raises:
            VideoStoreError: the clock was set back to a time that the stream has passed.
        """
        opened = await self._opened(windows.at_us, _ALWAYS_US)
        _, newest_us = await count_of(self._archive.index, windows.at_us - LONGEST_SEGMENT_US, _ALWAYS_US)
        closed = [] if newest_us is None else await self._archive.index.select(newest_us, _ALWAYS_US)
        known = [*closed, *(one for one, _ in opened)]
        windows.check_clock([one for one, _ in opened or await self._opened(0, _ALWAYS_US)], known)
        known_us = max((one.end_us for one in known), default=0)
        if known_us >= to_us or self._clock.wall_us() > to_us + CLOCK_LEEWAY_US:
            return to_us, True
        entries_us = [await off_loop(_last_entry_us, path) for _, path in opened]
        # Of two runs, of which one may be later than the other says, none must be passed before it is written.
        if later_us := [one for one in entries_us if one is not None and one > windows.at_us]:
            return min(later_us), False
        new = [one for one in closed if one.end_us > windows.at_us and not windows.is_done(one)]
        last = max(new, key=lambda one: one.end_us, default=None)
        if last is None:
            return None
        if self._clock.wall_us() < last.end_us + _APPEARS_US:
            if last.codec == "hevc":
                return None
            path = self._archive.directory / last.file_name
            waited_us = windows.waited_us(last, self._clock.monotonic_us())
            if waited_us < _APPEARS_US and await off_loop(_is_reordered, path):
                return None
        return last.end_us, False

    async def _nothing(self, asked: Range) -> VideoStoreError:
        now_us = max(self._clock.wall_us(), asked.from_us + 1)
        try:
            async with self._clips.plan(asked.from_us, now_us):
                return FFmpegError("clip-incomplete")
        except VideoStoreError as error:
            return error


def _is_reordered(path: Path) -> bool:
    """Whether frames of a segment are shown in another order than they are decoded. Blocking."""
    with contextlib.suppress(NotOursError, OSError):
        return any(one.decoded_us for one in read_fragments(path).fragments)
    return False


def _may_follow(one: Segment, other: Segment) -> bool:
    """Whether a segment that overlaps another one may be behind it in a clip. Those of one program are by start."""
    if one.run_us is not None or other.run_us is not None:
        return one.run_us != other.run_us
    return one.start_us > other.start_us


def _names(plan: Plan) -> set[str]:
    return {part.segment.file_name for part in plan.parts}


def _step_us(windows: Windows) -> int:
    """How much of the next window is encoded at a time."""
    return _REENCODED_US[min(windows.passed, len(_REENCODED_US) - 1)]


def _joined(joiner: FragmentJoiner, block: bytes) -> bytes:
    try:
        return joiner.feed(block)
    except ValueError as error:
        raise FFmpegError("clip-failed-because", reason=reason_of(error)) from error


def _last_entry_us(path: Path) -> int | None:
    """The last keyframe of an open segment up to which all before it can be copied: its first one, or one behind which
    nothing is shown before it. None if it was closed just now. Blocking."""
    try:
        content = read_fragments(path)
    except (NotOursError, OSError):
        return None
    earliest_us, found = _ALWAYS_US, None
    for one in reversed(content.fragments):
        earliest_us = min(earliest_us, *one.times_us)
        if one.is_keyed and one.times_us[0] in content.entries_us and one.times_us[0] <= earliest_us:
            found = one.times_us[0]
            break
    return found if found is not None else min(content.entries_us, default=None)
