"""The frame reader: reads when the frames of a clip were captured, and whether they are intact."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from videostore.base.constants import MIB
from videostore.base.errors import reason_of
from videostore.base.files import PASSING_ERRORS
from videostore.base.ranges import Range
from videostore.base.time_format import format_utc_exact
from videostore.media.border_frames import leading_fragments
from videostore.media.fmp4 import read_fragments
from videostore.media.foreign_frames import undecodable_parts
from videostore.media.fragmented_file import NotOursError
from videostore.media.libav import av
from videostore.media.segment import (
    FrameTimes,
    Segment,
    UnreadableError,
    frame_times,
    needed_for,
)
from videostore.media.segment_names import parse_open_name
from videostore.media.trial_decoder import undecodable_fragments, undecodable_leading

CHECKED_BYTES = 256 * MIB
"""Of segments up to this size the frames are checked before a clip is made; of more only if ffmpeg complains, because
reading all of it twice takes minutes."""

Damage = Mapping[str, frozenset[int]]
"""Damaged fragments: the capture times of their first frames, by the file names of their segments."""
NO_DAMAGE: Damage = MappingProxyType({})


class FrameReader:
    """Reads the segments of one range."""

    def __init__(
        self,
        found: Sequence[tuple[Segment, Path]],
        asked: Range,
        logger: logging.Logger,
        *,
        thorough: bool,
        check: bool = True,
        damage: Damage,
    ) -> None:
        """To `check` the frames, they are read; with `thorough` all of them. What `damage` names is left out."""
        size_bytes = sum(
            one.size_bytes for one, _ in found if one.start_us < asked.to_us and one.end_us > asked.from_us
        )
        self._asked = asked
        few = thorough or size_bytes <= CHECKED_BYTES
        self._check = asked if few and check else None
        self.left_unchecked = False
        """Whether frames were not read that are to be read later."""
        self._few = few
        self._thorough = thorough
        self._damage = damage
        self._logger = logger

    def read(self, segment: Segment, path: Path, end_us: int, *, needed: bool) -> FrameTimes | None:
        """The frames of a segment that ends at `end_us`, without damaged ones. Blocking.

        None for another program's that is used whole, unless its times are `needed`: reading it is slow.

        Raises:
            UnreadableError: it is missing or damaged.
            OSError: it cannot be read at the moment.
        """
        whole = segment.start_us >= self._asked.from_us and end_us <= self._asked.to_us
        if segment.run_us is not None or not whole or needed or self._thorough:
            damage = self._damage.get(segment.file_name, frozenset())
            self.left_unchecked = self.left_unchecked or (self._few and self._check is None)
            times = frame_times(segment, path, self._check, damage)
            for lost in times.damaged:
                span = f"from {format_utc_exact(lost.from_us)} to {format_utc_exact(lost.to_us)}"
                self._logger.warning("Segment %s is damaged %s: clips leave that out.", segment.file_name, span)
            return times
        try:
            size_bytes = path.stat().st_size
        except OSError as error:
            if error.errno in PASSING_ERRORS:
                raise
            raise UnreadableError(reason_of(error)) from error
        if size_bytes != segment.size_bytes:
            raise UnreadableError(f"it has {size_bytes} bytes instead of {segment.size_bytes}")
        return None


def find_undecodable(segment: Segment, path: Path, shown: Range) -> frozenset[int]:
    """The fragments of a segment that are needed to show a range, and do not decode, by the capture times of their
    first frames; of another program's, what is between two keyframes. Blocking: it decodes them.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        content = read_fragments(path, segment.size_bytes if parse_open_name(segment.file_name) else None)
    except NotOursError:
        return _find_in_foreign(segment, path, shown)
    return undecodable_fragments(path, content.codec, needed_for(shown, content.fragments))


def find_undecodable_borrowed(segment: Segment, path: Path, following: Segment, behind: Path) -> frozenset[int]:
    """The fragments at the beginning of the next segment, by the capture times of their first frames, whose frames are
    shown before it and do not decode. Blocking: it decodes them, with what they need of the segment before.

    Raises:
        OSError: a file cannot be read.
    """
    try:
        content = read_fragments(path, segment.size_bytes if parse_open_name(segment.file_name) else None)
        after = read_fragments(behind, following.size_bytes if parse_open_name(following.file_name) else None)
    except NotOursError:
        return frozenset()
    if after.leading is None or not content.fragments:
        return frozenset()
    needed = needed_for(Range(content.times_us[-1], content.times_us[-1] + 1), content.fragments)
    return undecodable_leading(path, content.codec, needed, behind, leading_fragments(after))


def _find_in_foreign(segment: Segment, path: Path, shown: Range) -> frozenset[int]:
    start_us = segment.start_us
    try:
        parts_us = undecodable_parts(path, shown.from_us - start_us, shown.to_us - start_us)
    except (av.error.FFmpegError, IndexError):
        return frozenset()
    return frozenset(start_us + one for one in parts_us)
