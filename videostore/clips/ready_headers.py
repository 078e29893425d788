"""Ready headers: what the header of a video is made of is encoded before the first one is asked for.

One frame of each format does for all headers of it. A frame of 4K takes longer than a request should wait.
"""

from __future__ import annotations

import bisect
import logging
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import VideoStoreError
from videostore.base.tasks import off_loop
from videostore.clips.edge_encoder import KEPT_SAMPLES
from videostore.clips.long_stream import LongStream
from videostore.clips.planner import FindOpenSegments
from videostore.media.segment import Segment, UnreadableError, frame_times
from videostore.storage.archive import Archive
from videostore.storage.segment_kinds import SegmentKind, kinds_of

_LOOKED_BACK_US = 48 * 3600 * US_PER_SECOND
_LOOKED_AT = 5000
"""So many segments of that time are looked at, which takes some milliseconds."""
_KNOWN_KINDS = 64
_ALWAYS_US = 1 << 62


class ReadyHeaders:
    """Makes ready what the headers are made of for the formats that were recorded last."""

    def __init__(self, archive: Archive, opened: FindOpenSegments, long: LongStream, logger: logging.Logger) -> None:
        self._archive = archive
        self._opened = opened
        self._long = long
        self._logger = logger
        self._until_us: int | None = None
        """Up to where the closed segments were looked at."""
        self._opened_after_us: int | None = None
        """Where they ended when a segment was looked at that was open."""
        self._known: set[SegmentKind] = set()

    async def make(self) -> None:
        """Encode a frame of each format that is new since the last call; of more than can be kept, the newest.

        Raises:
            VideoStoreError: the index cannot be read at the moment.
        """
        end_us = self._archive.timeline.end_us
        if end_us is not None and end_us != self._until_us:
            from_us = end_us - _LOOKED_BACK_US if self._until_us is None else self._until_us
            kinds = await kinds_of(self._archive.index, from_us, _ALWAYS_US, _LOOKED_AT)
            self._until_us = end_us
            for kind in kinds[-KEPT_SAMPLES:]:
                if self._is_new(kind):
                    for segment in await self._archive.index.get([kind.file_name]):
                        await self._encode(segment)
        await self._make_of_open(end_us or 0)

    async def _make_of_open(self, end_us: int) -> None:
        """The same of what is recorded now: another format begins with another segment."""
        if end_us == self._opened_after_us:
            return
        for segment, _ in await self._opened(0, _ALWAYS_US):
            kind = SegmentKind(
                *(segment.codec, segment.width, segment.height, segment.setup, int(segment.run_us is not None)), 0, ""
            )
            self._opened_after_us = end_us
            if kind not in self._known:
                if not await self._encode(segment):
                    self._opened_after_us = None  # it may have no frame yet of which a header can be made
                    continue
                self._is_new(kind)

    def _is_new(self, kind: SegmentKind) -> bool:
        """Whether a format is known only from now on."""
        format = kind._replace(segments=0, file_name="")
        if format in self._known:
            return False
        if len(self._known) >= _KNOWN_KINDS:
            self._known.clear()
        self._known.add(format)
        return True

    async def _encode(self, segment: Segment) -> bool:
        """Returns whether there is a frame of which a header can be made."""
        at_us = None
        try:
            at_us = await off_loop(_behind_keyframe_us, segment, self._archive.directory / segment.file_name)
            if at_us is not None:
                await self._long.prepare(at_us)
        except (VideoStoreError, UnreadableError, ValueError, OSError) as error:  # a video of it tells why
            self._logger.debug("No header of %s can be made ready: %s", segment.file_name, error)
        return at_us is not None


def _behind_keyframe_us(segment: Segment, path: Path) -> int | None:
    """The first frame of a segment that must be encoded if a clip begins with it; None if there is none. Blocking.

    Raises:
        UnreadableError, OSError: the file cannot be read.
    """
    times = frame_times(segment, path)
    keyframes = set(times.keyframes_us)
    first = bisect.bisect_left(times.all_us, times.keyframes_us[0]) if times.keyframes_us else len(times.all_us)
    return next((one for one in times.all_us[first:] if one not in keyframes), None)
