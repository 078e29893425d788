"""Finds the frame that the recording shows at a moment, and makes a picture of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from videostore.base.clock import Clock
from videostore.base.constants import KNOWN_WITHIN_S, NEIGHBOUR_US, RANGE_SLOP_US, US_PER_SECOND
from videostore.base.errors import (
    FFmpegError,
    NothingStoredError,
    RequestError,
    UnreadableRangeError,
    VideoStoreError,
    reason_of,
)
from videostore.base.ranges import Range, damaged_within
from videostore.base.tasks import off_loop
from videostore.base.time_format import format_utc_exact
from videostore.clips.borrowed_frames import runs_on
from videostore.clips.nearest_frames import nearest_frames
from videostore.clips.picture import Snapshot, make_snapshot
from videostore.clips.picture_decoder import PictureDecoders, shared_decoders
from videostore.clips.segment_frames import followed
from videostore.clips.segment_order import touch
from videostore.clips.turns import Turns
from videostore.media.coded_picture import CodedPicture, TooMuchError, read_coded_picture
from videostore.media.segment import Segment, UnreadableError
from videostore.media.segment_names import parse_open_name
from videostore.storage.archive import Archive
from videostore.storage.open_segments import OpenSegments, stored_timeline
from videostore.storage.retention_holds import RetentionHolds

PICTURES_AT_ONCE = 2
"""Pictures that are made at the same time; the other requests wait. Each takes an ffmpeg of lower priority."""
MOST_WAITING = 200
"""A strip of pictures on a wide screen has fifty."""

_COVER_S = 5.0
"""A moment that has just passed is waited for so long: a second of the recording is written at a time."""
_JUST_PASSED_US = 10 * US_PER_SECOND
_ATTEMPTS = 5
"""A recorder in another process may rename or delete a segment between two looks."""
_ALWAYS_US = 1 << 62


class Snapshots:
    """Makes pictures of what is stored in one archive, until `close`. Owns every ffmpeg that it starts."""

    def __init__(
        self,
        archive: Archive,
        open_segments: OpenSegments,
        holds: RetentionHolds,
        binary: str,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self._archive = archive
        self._open = open_segments
        self._holds = holds
        self._binary = binary
        self._clock = clock
        self._logger = logger
        self._turns = Turns(PICTURES_AT_ONCE, MOST_WAITING)
        self._decoders: PictureDecoders | None = None

    async def close(self) -> None:
        """Let go of the decoders of pictures, which end with the last store that uses them."""
        if self._decoders is not None:
            await self._decoders.leave()

    def _joined_decoders(self) -> PictureDecoders:
        """Those of this loop. From the first picture on: a store that is closed meanwhile makes none."""
        if self._decoders is None:
            self._decoders = shared_decoders()
            self._decoders.join()
        return self._decoders

    async def take(self, at_us: int, width: int | None, *, exact: bool) -> Snapshot:
        """The picture of the frame that is shown at a moment; if it need not be exact, of the last keyframe up to it.

        Raises:
            NothingStoredError: no frame is shown then; it has the times of the nearest ones.
            UnreadableRangeError: it is damaged or deleted.
            RequestError: too many requests wait, or the picture needs too much.
            FFmpegError: ffmpeg cannot be run, or not in time.
        """
        with self._holds.hold(at_us, at_us + 1):
            if exact and at_us > self._clock.wall_us() - _JUST_PASSED_US:
                await self._open.wait_until_covered(at_us, at_us + 1, within_s=_COVER_S)
            async with self._turns.turn():
                found, damaged = await self._find(at_us, exact=exact)
                decoders = self._joined_decoders()
                try:
                    return await make_snapshot(
                        self._binary, found, width, self._logger, damaged=damaged, decoders=decoders
                    )
                except FFmpegError as error:
                    if error.code != "ffmpeg-failed":
                        raise
                    self._logger.warning("The picture of %s cannot be made: %s", format_utc_exact(at_us), error)
                    raise UnreadableRangeError("moment-unreadable", at_us=at_us) from error

    async def _find(self, at_us: int, *, exact: bool) -> tuple[CodedPicture, str | None]:
        """The coded picture, and why it came damaged if it did."""
        unreadable: UnreadableError | None = None
        for attempt in range(_ATTEMPTS):
            # While the directory is walked for the first time, what the index knows is shown at once.
            is_early = not attempt and self._archive.read_only and not self._archive.reconciled.is_set()
            if not is_early:
                await self._archive.wait_until_indexed(at_us, KNOWN_WITHIN_S)
            async with self._archive.steady():
                found = await self._around(at_us - NEIGHBOUR_US, at_us + NEIGHBOUR_US)
            try:
                return await off_loop(_read, found, at_us, exact)
            except UnreadableError as error:
                unreadable = error
            except TooMuchError:
                raise RequestError("picture-needs-too-much", field="exact", value=True) from None
            except OSError as error:
                raise VideoStoreError("recording-unreadable", reason=reason_of(error)) from error
            except LookupError:
                if is_early:
                    continue
                raise await self._nothing(at_us, found) from None
        raise UnreadableRangeError("moment-unreadable", at_us=at_us) from unreadable

    async def _around(self, from_us: int, to_us: int) -> list[tuple[Segment, Path]]:
        closed = await self._archive.index.select(from_us, to_us)
        known = {(one.run_us, one.start_us) for one in closed}
        opened = await self._open.find(from_us, to_us)
        # Read-only, a segment that its recorder is closing may have both names: the closed one counts.
        unclosed = [one for one in opened if (one[0].run_us, one[0].start_us) not in known]
        return [*((one, self._archive.directory / one.file_name) for one in closed), *unclosed]

    async def _nothing(self, at_us: int, near: Sequence[tuple[Segment, Path]]) -> NothingStoredError:
        """The error of a moment at which nothing is shown: it tells the frames before and after it."""
        async with self._archive.steady():
            opened = await self._open.find(0, _ALWAYS_US)
            timeline = await stored_timeline(self._archive, [one for one, _ in opened])
            before, after = timeline.around(at_us)
            found = dict(near)
            for edge_us in [*([before.to_us - 1] if before else []), *([after.from_us] if after else [])]:
                found |= dict(await self._around(edge_us - RANGE_SLOP_US, edge_us + RANGE_SLOP_US))
        before_us, after_us = await off_loop(nearest_frames, list(found.items()), Range(at_us, at_us + 1))
        if before_us is not None and after_us is not None:
            fields = {"before_us": before_us, "after_us": after_us}
            return NothingStoredError("moment-in-gap", at_us=at_us, reason=None, **fields)
        if before_us is not None:
            return NothingStoredError("moment-after-last", at_us=at_us, before_us=before_us)
        if after_us is not None:
            return NothingStoredError("moment-before-first", at_us=at_us, after_us=after_us)
        return NothingStoredError("no-moment", at_us=at_us)


def _read(found: Sequence[tuple[Segment, Path]], at_us: int, exact: bool) -> tuple[CodedPicture, str | None]:
    """What the segments show at a moment, and why it came damaged. Blocking.

    Raises:
        LookupError: they show nothing then.
    """
    shown: CodedPicture | None = None
    damaged: str | None = None
    unreadable: UnreadableError | None = None
    for segment, path, following in followed(found):
        end_us = segment.end_us
        touching = following if following is not None and touch(segment, following[0]) else None
        if touching is not None:
            end_us = max(end_us, touching[0].start_us)
        elif following is None and not exact and parse_open_name(segment.file_name):
            end_us += _JUST_PASSED_US  # the recording goes on
        if not segment.start_us <= at_us < end_us:
            continue
        try:
            lender = touching if touching is not None and runs_on(segment, touching[0]) else None
            one = read_coded_picture(segment, path, end_us, at_us, lender, keyframe=not exact)
        except UnreadableError as error:
            unreadable = error
            continue
        # If the clock was set back, two recordings show the moment: the later one counts.
        if one is not None:
            shown = one
            marks = damaged_within(segment.damaged, Range(one.captured_us, one.captured_us + 1))
            damaged = marks[0].reason if marks else None
    if shown is not None:
        return shown, damaged
    if unreadable is not None:
        raise unreadable
    raise LookupError
