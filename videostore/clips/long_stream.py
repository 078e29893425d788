"""A long stream: the clip of a range of any length as one fragmented MP4, which begins before all of it is planned.

It is made window by window (`Windows`), each by an ffmpeg of its own, whose fragments a `FragmentJoiner` numbers
through. It can follow a recording that goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

from videostore.base.clock import Clock
from videostore.base.constants import CLOCK_LEEWAY_US, LONGEST_SEGMENT_US, US_PER_SECOND
from videostore.base.errors import FFmpegError, VideoStoreError, reason_of
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.clips.cut_commands import Place
from videostore.clips.cutter import ClipCutter
from videostore.clips.planner import FindOpenSegments
from videostore.clips.turns import Turns
from videostore.clips.windows import FIRST_SEGMENTS, Windows
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.fragment_joiner import FragmentJoiner
from videostore.media.fragmented_file import NotOursError
from videostore.storage.archive import Archive
from videostore.storage.segment_kinds import count_of, kinds_of, runs_of

_LOOK_S = 0.2
"""How often the recording is looked at while it is followed. What is new of it is two keyframes behind: one to know
that the frames before are whole, one to know how long the last of them lasts."""
_FIRST_FRAME_US = 20 * US_PER_SECOND
"""So long a stream that is followed waits for its first frame."""
_COMPARED_SEGMENTS = 5000
"""42 hours. To compare more before the first byte would take long, and to re-encode so much would take days."""
_COMPARED_RUNS = 100
"""A file of each is opened to look for sound, which all segments of a run have or none: a tenth of a second. Of more
runs, the first and the last are compared, because sound is mostly switched on or off once."""
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
        self._clock = clock
        self.turns = turns
        """Those of all videos that are sent, whether they are long or not."""

    async def can_begin_early(self, asked: Range) -> bool:
        """Whether a range is long and has one format, so that its stream can begin before its end is planned.

        Other ranges are planned whole: where the format changes, all of the clip is re-encoded, and where one part has
        sound, all of it has. Where that shows only in what is not compared, the stream ends there with an error.
        """
        compared = self._archive.index, asked.from_us, asked.to_us, _COMPARED_SEGMENTS
        kinds = await kinds_of(*compared)
        if sum(one.segments for one in kinds) <= FIRST_SEGMENTS or len(kinds) != 1:
            return False
        paths = [self._archive.directory / name for name in await runs_of(*compared)]
        if len(paths) > _COMPARED_RUNS:
            paths = paths[: _COMPARED_RUNS // 2] + paths[-_COMPARED_RUNS // 2 :]
        paths += [path for _, path in await self._opened(asked.from_us, asked.to_us)]
        return not await off_loop(_any_has_sound, paths)

    async def codecs(self, asked: Range) -> set[str]:
        """The codecs of what is stored of a range, or of its beginning if it is very long."""
        kinds = await kinds_of(self._archive.index, asked.from_us, asked.to_us, _COMPARED_SEGMENTS)
        opened = await self._opened(asked.from_us, asked.to_us)
        return {one.codec for one in kinds} | {one.codec for one, _ in opened}

    async def blocks(self, asked: Range, *, follow: bool = False) -> AsyncGenerator[bytes, None]:
        """Yield the clip, block by block as they are taken. To follow, `asked` may end at any time in the future.

        While the recording goes on, empty blocks come: a chance to end. What is followed comes without its sound; where
        there is sound, a stream that is not followed cannot begin early: it ends at once with `stream-format-changed`.

        Raises:
            NothingStoredError, UnreadableRangeError: there is no frame; before the first block.
            FFmpegError: the clip could not be made to its end.
        """
        stored, newest_us = await count_of(self._archive.index, asked.from_us, asked.to_us)
        windows = Windows(self._clips.planner, self._archive, self._clips.workspaces, asked)
        joiner, place = FragmentJoiner(), Place(silent=follow)
        with contextlib.ExitStack() as hold:
            self._hold(hold, windows, asked, follow=follow)
            async with self.turns.turn():
                to_us, final, waited_until_us = asked.to_us, True, self._clock.monotonic_us() + _FIRST_FRAME_US
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
                    async with windows.next(to_us) as window:
                        if window.plan.parts:
                            place.position_us, place.more = window.position_us, follow or not window.last
                            joiner.next_file()
                            async with contextlib.aclosing(self._clips.stream(window.plan, place=place)) as blocks:
                                async for block in blocks:
                                    yield _joined(joiner, block)
                            place.first = False
                    if window.last and final:
                        break
        joiner.next_file()
        if not windows.found_any:
            raise await self._clips.planner.nothing_to_cut(replace(window.plan, asked=asked))
        if newest_us is not None and not follow:
            left, _ = await count_of(self._archive.index, asked.from_us, newest_us + 1)
            if left < stored:  # it may be missing from the clip
                raise FFmpegError("clip-incomplete")

    def _hold(self, hold: contextlib.ExitStack, windows: Windows, asked: Range, *, follow: bool) -> None:
        """Keep what is still to come, and give up what was kept before."""
        before = hold.pop_all()
        ahead_us = windows.at_us + _EXPECTED_US
        hold.enter_context(self._clips.holds.hold(windows.at_us, ahead_us if follow else asked.to_us))
        before.close()

    async def _newest(self, windows: Windows, to_us: int) -> tuple[int, bool] | None:
        """Up to where the recording can be taken over now, and whether that is the end; None if nothing is new."""
        opened = await self._opened(windows.at_us, _ALWAYS_US)
        _, newest_us = await count_of(self._archive.index, windows.at_us - LONGEST_SEGMENT_US, _ALWAYS_US)
        closed = [] if newest_us is None else await self._archive.index.select(newest_us, _ALWAYS_US)
        known_us = max([one.end_us for one in (*closed, *(one for one, _ in opened))], default=0)
        if known_us >= to_us or self._clock.wall_us() > to_us + CLOCK_LEEWAY_US:
            return to_us, True
        if opened:
            _, path = max(opened, key=lambda one: one[0].start_us)
            entry_us = await off_loop(_last_entry_us, path)
            if entry_us is not None and entry_us > windows.at_us:
                return entry_us, False
        new = [one for one in closed if one.end_us > windows.at_us and not windows.is_done(one)]
        return (max(one.end_us for one in new), False) if new else None

    async def _nothing(self, asked: Range) -> VideoStoreError:
        now_us = max(self._clock.wall_us(), asked.from_us + 1)
        try:
            async with self._clips.plan(asked.from_us, now_us):
                return FFmpegError("clip-incomplete")
        except VideoStoreError as error:
            return error


def _joined(joiner: FragmentJoiner, block: bytes) -> bytes:
    try:
        return joiner.feed(block)
    except ValueError as error:
        raise FFmpegError("clip-failed-because", reason=reason_of(error)) from error


def _any_has_sound(paths: Sequence[Path]) -> bool:
    """Blocking."""
    for path in paths:
        with contextlib.suppress(NotOursError, OSError):  # the plan tells what cannot be read
            if read_ends(path).sound is not None:
                return True
    return False


def _last_entry_us(path: Path) -> int | None:
    """The last keyframe of an open segment from which it can be copied; None if it was closed just now. Blocking."""
    try:
        return max(read_fragments(path).entries_us, default=None)
    except (NotOursError, OSError):
        return None
