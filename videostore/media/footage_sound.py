"""The sound of a file of another program: its codec, and when each of its packets is heard."""

from __future__ import annotations

import bisect
from array import array
from dataclasses import dataclass, replace
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.media.sound import COPIED


@dataclass(frozen=True, slots=True)
class FootageSound:
    """The sound of a file. Times are those of the file, in microseconds."""

    index: int
    """Which stream of the file it is."""
    codec: str
    """ffmpeg's name: `aac`, `opus`, `pcm_s16le` …"""
    described: bool
    """Whether the file's header has what a decoder needs; in transport streams each packet has it."""
    times_us: tuple[int, ...]
    """When each packet begins."""
    size_bytes: int
    fault: str = ""
    """Why it cannot be stored; empty if it can, as far as is known."""

    @property
    def as_it_is(self) -> bool:
        """Whether it can be copied right out of the file."""
        return self.codec in COPIED and self.described

    def beginning(self, from_us: int) -> tuple[FootageSound, int | None]:
        """What begins at a time or later, and a time between that and what is before it; None if nothing is."""
        at = bisect.bisect_left(self.times_us, from_us)
        following_us = self.times_us[at] if at < len(self.times_us) else from_us
        between_us = (self.times_us[at - 1] + following_us + 1) // 2 if at else None
        return replace(self, times_us=self.times_us[at:]), between_us

    def begins_like(self, other: FootageSound, from_us: int) -> bool:
        """Whether from a time on the same is written of both, if no more is known of one than how it begins."""
        (ours, left_us), (theirs, other_us) = self.beginning(from_us), other.beginning(from_us)
        return bool(ours.times_us) and (
            self._coding == other._coding
            and left_us == other_us
            and self.times_us[0] == other.times_us[0]
            and ours.times_us[0] == theirs.times_us[0]
        )

    @property
    def _coding(self) -> tuple[int, str, bool, str]:
        return self.index, self.codec, self.described, self.fault


class SoundSurvey:
    """Takes the packets of a file's first sound one after the other."""

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        self.stream = stream
        # Not known any more when the file is closed.
        self._index, self._base = stream.index, stream.time_base
        self._codec = context.name if context is not None else "unknown"
        self._described = bool(context is not None and context.extradata)
        self._times = array("q")
        self._size_bytes = 0
        self._fault = "" if context is not None else "its codec is not known"

    def add(self, packet: Any) -> None:
        """Take the next packet."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            self._fault = self._fault or "some of it has no time"
        elif self._times and time <= self._times[-1]:
            self._fault = self._fault or "its times go back"
        else:
            self._times.append(time)
        if packet.has_sidedata("new_extradata") and self._described:
            self._fault = self._fault or "its format changes in the middle"
        self._size_bytes += packet.size

    def result(self) -> FootageSound | None:
        """What was found; None if there is no sound."""
        if not self._times and not self._fault:
            return None
        scale, unit = US_PER_SECOND * self._base.numerator, self._base.denominator
        times_us = tuple((2 * one * scale + unit) // (2 * unit) for one in self._times)
        return FootageSound(self._index, self._codec, self._described, times_us, self._size_bytes, self._fault)
