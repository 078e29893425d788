"""Fetching one clip from a machine, in pieces if it is too large for one response."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from videostore.base.clock import Clock, SystemClock
from videostore.base.constants import CLOCK_LEEWAY_US, FASTSTART_BYTES, US_PER_SECOND
from videostore.base.errors import (
    NothingStoredError,
    RequestError,
    TooLargeError,
    UnreadableRangeError,
    VideoStoreError,
)
from videostore.base.ranges import Range, merge_ranges
from videostore.base.sentences import OTHER
from videostore.base.tasks import run_in_thread
from videostore.clips.progress import OnProgress
from videostore.ffmpeg.process import find_ffmpeg
from videostore.remote.one_size import reencode_to_one_size
from videostore.remote.piece_length import RESPONSE_PRECISION_US, PieceLength
from videostore.remote.splice import Packet, Piece, SplicedClip

_NARROWEST_US = US_PER_SECOND // 100
"""A frame next to a join is not searched for more closely than this."""
_REACHES_S = (0.25, 1, 2, 4, 16)
"""How far clips that show the frames around a join reach, tried one after the other: the camera may be slow."""
_FARTHEST_US = 60 * US_PER_SECOND
"""How far from a join to search for a frame if no response can carry both frames."""
_IN_FUTURE = ("to-in-future", "from-in-future")

Fetch = Callable[[int, int, Path], Awaitable[tuple[Range, ...] | None]]
"""Fetches the clip of a range into a file. Returns what the clip holds, or None for the whole range."""


class Transfer:
    """One clip that is being fetched: its pieces, and the spliced clips that they form."""

    def __init__(
        self,
        fetch: Fetch,
        work: Path,
        requested: Range,
        on_progress: OnProgress | None,
        clock: Clock | None = None,
    ) -> None:
        """`work` is a directory for temporary files, `clock` is that of this computer."""
        self._clock = clock or SystemClock()
        self.path = work / "clip.mp4"
        self._fetch_piece = fetch
        self._work = work
        self._requested = requested
        self._on_progress = on_progress
        self._fetched: list[Range] = []
        self._uncertain_us: list[int] = []
        """Joins where the interval between the frames is unknown, and the duration of the last frame was used."""
        self._pieces = 0
        self._clips: list[SplicedClip] = []
        self._length = PieceLength(requested)

    @property
    def ranges(self) -> tuple[Range, ...] | None:
        """What the clip holds; None for the whole range. It is split at joins whose times are uncertain."""
        ranges = _split(merge_ranges(self._fetched), self._uncertain_us)
        length_us = self._requested.to_us - self._requested.from_us
        complete = len(ranges) == 1 and length_us - (ranges[0].to_us - ranges[0].from_us) < RESPONSE_PRECISION_US
        return None if complete else tuple(ranges)

    async def fetch(self) -> None:
        """Write the clip to `path`.

        Raises:
            RequestError: the machine refuses the range, or nothing is stored in it.
            VideoStoreError: another error of the machine, or of the connection to it.
            FFmpegError: the parts could not be re-encoded to one size.
        """
        try:
            await self._fetch_pieces()
            for clip in self._clips:
                await run_in_thread(clip.close)
        finally:
            await run_in_thread(_close_each, self._clips)
        if len(self._clips) == 1:
            await run_in_thread(self._clips[0].path.rename, self.path)
        elif self._clips:
            await reencode_to_one_size(self._clips, self.path, await run_in_thread(find_ffmpeg))

    async def _fetch_pieces(self) -> None:
        at_us, absent = self._requested.from_us, None
        while at_us < self._requested.to_us:
            end_us = self._length.end_us(at_us)
            piece = self._work / f"piece{self._pieces}.mp4"
            begin_us = self._begin_us(at_us)
            try:
                ranges = await self._fetch_from(begin_us, at_us, end_us, piece)
            except TooLargeError as error:
                self._length.refused(error, Range(at_us, end_us), at_us - begin_us)
                continue
            except (NothingStoredError, UnreadableRangeError) as error:
                absent = absent or error
                self._fetched += await self._last_frame_in(at_us, end_us)
                self._length.absent()
            except RequestError as error:
                if not self._pieces or not self._may_be_in_future(error, end_us):
                    raise
                break  # the rest of the range is in the machine's future
            else:
                await self._keep(piece, Range(at_us, end_us), ranges, begin_us)
            at_us = end_us
            if self._on_progress is not None:
                done_us = at_us - self._requested.from_us
                self._on_progress(done_us / (self._requested.to_us - self._requested.from_us))
        if absent is not None and not self._pieces:
            raise absent

    async def _fetch_from(self, begin_us: int, at_us: int, end_us: int, piece: Path) -> tuple[Range, ...] | None:
        """Fetch a piece from `begin_us` on, or only from `at_us` on if nothing before that is left."""
        try:
            return await self._fetch_piece(begin_us, end_us, piece)
        except (NothingStoredError, UnreadableRangeError):
            if begin_us == at_us:
                raise
        return await self._fetch_piece(at_us, end_us, piece)

    def _begin_us(self, at_us: int) -> int:
        """Where the next piece begins: early enough to have the last keyframe of the clip too, if it continues that."""
        if not self._clips or not any(one.to_us == at_us for one in merge_ranges(self._fetched)):
            return at_us
        return self._length.begin_us(at_us, self._clips[-1].overlap_us)

    async def _last_frame_in(self, from_us: int, to_us: int) -> list[Range]:
        """What is held of a range in which no frame was captured: a frame before it may last into it."""
        whole = (from_us, to_us) == (self._requested.from_us, self._requested.to_us)
        if whole or (from_us > self._requested.from_us and not any(one.to_us == from_us for one in self._fetched)):
            return []
        reaches_us = [int(reach_s * US_PER_SECOND) for reach_s in _REACHES_S]
        empty_us = 0
        while reaches_us:
            reach_us = reaches_us.pop(0)
            before_us = from_us - reach_us
            try:
                ranges = await self._fetch_piece(before_us, to_us, self._work / "before.mp4")
            except (NothingStoredError, UnreadableRangeError):
                empty_us = reach_us
            except RequestError:  # too large, for instance: try less, as long as that may hold a frame
                reaches_us = [(empty_us + reach_us) // 2] if reach_us - empty_us > _NARROWEST_US else []
            else:
                held = [Range(before_us, to_us)] if ranges is None else ranges
                return [Range(max(one.from_us, from_us), one.to_us) for one in held if one.to_us > from_us]
        return []

    def _may_be_in_future(self, error: VideoStoreError, end_us: int) -> bool:
        """Whether a machine refuses a range that ends at `end_us` because that is in the future there.

        If the refusal came without its code, it is if this computer's clock says so too.
        """
        if error.code == OTHER and type(error) is RequestError:
            return end_us > self._clock.wall_us() - CLOCK_LEEWAY_US
        return error.code in _IN_FUTURE

    async def _keep(self, piece: Path, requested: Range, ranges: tuple[Range, ...] | None, begin_us: int) -> None:
        """Make a piece part of the clip. It was fetched from `begin_us` on, to have the end of the one before too."""
        self._pieces += 1
        before = len(self._fetched)
        self._fetched += [requested] if ranges is None else ranges
        self._length.received((await run_in_thread(piece.stat)).st_size, requested.to_us - begin_us)
        if requested == self._requested:
            await run_in_thread(piece.rename, self.path)
        else:
            if not await self._append(piece, requested.from_us, overlaps=begin_us < requested.from_us):
                try:
                    await self._fetch_piece(requested.from_us, requested.to_us, piece)
                except (NothingStoredError, UnreadableRangeError):  # all of its frames are of the piece before
                    del self._fetched[before:]
                    self._fetched += await self._last_frame_in(requested.from_us, requested.to_us)
                else:
                    await self._append(piece, requested.from_us, overlaps=False)
            await run_in_thread(piece.unlink)

    async def _append(self, path: Path, at_us: int, *, overlaps: bool) -> bool:
        """Splice a piece to those before it, or start another clip if that is not possible.

        False: it should have had the end of the one before too, but has not.
        """
        piece = await run_in_thread(Piece.read, path)
        if self._clips:
            clip = self._clips[-1]
            point = clip.overlap(piece)
            if point is None and overlaps:
                return False
            interval_us = None
            alone = point is None and piece.hidden_packets == 0 and not clip.tells_where(piece)
            if alone and clip.first.joins(piece) and self._is_continuous(at_us):
                interval_us = await self._interval_us(clip, piece, at_us)
                if interval_us is None:
                    self._uncertain_us.append(at_us)
            if (point := point or clip.splice_point(piece, interval_us)) is not None:
                await run_in_thread(clip.append, piece, point)
                return True
            await run_in_thread(clip.close)
        spliced = self._work / f"spliced{len(self._clips)}.mp4"
        faststart = 0 < self._length.total_bytes <= FASTSTART_BYTES
        self._clips.append(await run_in_thread(functools.partial(SplicedClip, spliced, piece, faststart=faststart)))
        return True

    def _is_continuous(self, at_us: int) -> bool:
        return any(one.from_us < at_us < one.to_us for one in merge_ranges(self._fetched))

    async def _interval_us(self, clip: SplicedClip, piece: Piece, at_us: int) -> int | None:
        """The time between the last frame of a clip and the first of a piece that has nothing of that clip.

        The duration of the last frame may be a guess, at the end of a segment; a clip that holds both frames knows.
        None: it cannot be found.
        """
        for reach_s in _REACHES_S:
            begin_us = at_us - int(reach_s * US_PER_SECOND)
            end_us = min(2 * at_us - begin_us, self._requested.to_us)
            try:
                before = await self._read_range(begin_us, at_us)
                bridge = await self._read_range(begin_us, end_us) if before else None
            except RequestError:  # too large, for instance
                break
            if before and bridge and (interval_us := bridge.interval_us(before.shown_packets)) is not None:
                return interval_us
        # No response can carry both frames: find the capture time of each.
        last_us = await self._capture_time_us(clip.last, at_us, -_FARTHEST_US)
        if last_us is None:
            return None
        first_us = await self._capture_time_us(piece.first, at_us, min(_FARTHEST_US, self._requested.to_us - at_us))
        return None if first_us is None else first_us - last_us

    async def _capture_time_us(self, frame: Packet, at_us: int, reach_us: int) -> int | None:
        """When the frame next to a time was captured: after it, or before it if the reach is negative.

        That is where the shortest range that holds a frame ends. None: it is another frame, or none is found.
        """
        nearest: Packet | None = None
        empty_us, full_us = 0, abs(reach_us)
        while full_us - empty_us > 1 or nearest is None:
            tried_us = min(empty_us + max(1, (full_us - empty_us) // (2 if nearest else 4)), full_us)
            try:
                found = await self._read_range(*sorted((at_us, at_us + (tried_us if reach_us > 0 else -tried_us))))
            except RequestError:  # too large, for instance, so the range is not empty
                if tried_us == full_us:
                    return None
                full_us = tried_us
                continue
            if found is None and tried_us == full_us:
                return None
            if found is None:
                empty_us = tried_us
            else:
                nearest, full_us = found.first if reach_us > 0 else found.packets[-1], tried_us
        if nearest.digest != frame.digest:
            return None
        return at_us + full_us - 1 if reach_us > 0 else at_us - full_us

    async def _read_range(self, from_us: int, to_us: int) -> Piece | None:
        """The packets of a range that does not become part of the clip; None if no frame was captured there."""
        path = self._work / "bridge.mp4"
        try:
            await self._fetch_piece(from_us, to_us, path)
        except (NothingStoredError, UnreadableRangeError):
            return None
        return await run_in_thread(Piece.read, path)


def _close_each(clips: Sequence[SplicedClip]) -> None:
    """Blocking."""
    for clip in clips:
        with contextlib.suppress(OSError, ValueError):
            clip.close()


def _split(ranges: list[Range], at: list[int]) -> list[Range]:
    """The ranges, split at these times by the shortest gap that a response can express."""
    for at_us in at:
        ranges = [
            part
            for one in ranges
            for part in (
                [Range(one.from_us, at_us - RESPONSE_PRECISION_US), Range(at_us, one.to_us)]
                if one.from_us < at_us - RESPONSE_PRECISION_US and at_us < one.to_us
                else [one]
            )
        ]
    return ranges
