"""The sound of a clip, cut from the segments of its plan without decoding it. All of it blocks.

It begins with the clip, and has no gaps: silence is put where the segments have none. So players need not read times,
and some do not. A packet is thus at most three quarters of its length off its place; where that would be more, silence
is put in, or a packet is left out.
"""

from __future__ import annotations

import bisect
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import US_PER_SECOND
from videostore.clips.plan import ClipPart, Plan
from videostore.clips.time_tags import part_stretches
from videostore.media.clip_times import ClipStretch
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.media.gapless_sound import FARTHEST_OFF
from videostore.media.segment import Segment
from videostore.media.silence import codec_of, nominal_length, silence
from videostore.media.sound_file import SoundFile
from videostore.media.sound_track import SoundStretch, packet_length, shifted

_SILENT_AT_ONCE = 10_000
"""Packets that are written at a time."""


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """What has to be the same in all of a file of sound."""

    entry: bytes
    rate: int


@dataclass(frozen=True, slots=True)
class SoundingFile:
    """A segment with sound."""

    path: Path
    run_us: int | None
    start_us: int
    """Where it begins."""
    format: SoundFormat
    stretches: Sequence[SoundStretch]


@dataclass(frozen=True, slots=True)
class CutSound:
    """What was cut."""

    files: list[Path]
    """Each of one format, and silent where the sound has another."""
    length_us: int
    """How long the clip is."""


def cut_sound(plan: Plan, directory: Path) -> CutSound:
    """Write the sound of a plan into files of a directory, each from the start of the clip on, and each of one format.

    Usually that is one, or none if there is no sound. What is not in a file is silent there.

    Raises:
        OSError: a file cannot be read or written.
    """
    writers: dict[SoundFormat, SoundWriter] = {}
    stretches = list(part_stretches(plan.parts))
    length_us = stretches[-1].end_position_us
    of_run: dict[int | None, list[ClipStretch]] = {}  # the clock is not set back within a run
    for part, shown in zip(plan.parts, stretches, strict=True):
        of_run.setdefault(part.segment.run_us, []).append(shown)
    try:
        for one in sounding(plan):
            if one.format not in writers:
                made, samples = directory / f"sound{len(writers)}.mp4", samples_of(one.format, one.stretches)
                writers[one.format] = SoundWriter(made, one.format, samples, length_us=length_us)
            with one.path.open("rb") as file:
                for stretch in one.stretches:
                    writers[one.format].add(file, stretch, of_run[one.run_us])
        return CutSound([writer.path for writer in writers.values() if writer.has_sound], length_us)
    finally:
        for writer in writers.values():
            writer.close()


def video_starts(plan: Plan) -> dict[Path, int] | None:
    """Where in its file the video of each part starts, in microseconds, if frames are shown later than decoded: the
    sound begins before it then. None if no part has sound.
    """
    late: dict[int | None, bool] = {}
    starts: dict[Path, int] = {}
    sounds = _Sounds()
    for part in plan.parts:
        run_us = part.segment.run_us
        if not late.get(run_us, True) or not sounds.may_be_in(run_us):
            continue
        content = sounds.read(part)
        if content is not None:
            late[run_us] = content.is_reordered
            if content.is_reordered:
                starts[part.path.absolute()] = content.origin_us
    return starts if late else None


def sounding(plan: Plan) -> Iterator[SoundingFile]:
    """The files with sound, in their order. What is after the parts may hold sound that is heard with them."""
    sounds = _Sounds()
    for part in chain(plan.parts, _behind(plan)):
        run_us = part.segment.run_us
        content = sounds.read(part) if sounds.may_be_in(run_us) else None
        if content is not None and content.sound is not None:
            format = SoundFormat(content.sound.entry, content.sound.timescale)
            yield SoundingFile(part.path, run_us, part.segment.start_us, format, _dated(content, part.segment))


def _dated(content: FragmentedFile, segment: Segment) -> list[SoundStretch]:
    """The sound of a file, at the times that are known best."""
    sounds = content.sounds
    if content.sound is None or content.sound.placed or segment.sound_us is None or not sounds:
        return sounds
    return [shifted(one, segment.sound_us - sounds[0].times_us[0]) for one in sounds]


class _Sounds:
    """Reads files with sound, and of the others one of each run: all segments of a run have some, or none of them."""

    def __init__(self) -> None:
        self._silent: set[int | None] = {None}

    def may_be_in(self, run_us: int | None) -> bool:
        return run_us not in self._silent

    def read(self, part: ClipPart) -> FragmentedFile | None:
        """What a file holds; None if it has no sound, or cannot be read any more."""
        with contextlib.suppress(NotOursError, FileNotFoundError):
            content = read_fragments(part.path, part.read_bytes)
            if content.sound is not None and codec_of(content.sound.entry):
                return content
            self._silent.add(part.segment.run_us)
        return None


def _behind(plan: Plan) -> list[ClipPart]:
    """The segment behind the last one: where frames are decoded early, it has the sound of those before it too."""
    last = plan.parts[-1].segment
    if last.run_us is None:
        return []
    for segment, path in plan.found:
        if segment.run_us == last.run_us and segment.start_us > last.start_us:  # where the last one ends is a guess
            return [ClipPart(segment, path, segment.end_us, segment.start_us)]
    return []


def samples_of(format: SoundFormat, stretches: Sequence[SoundStretch]) -> int:
    """How many samples each packet has."""
    return nominal_length(codec_of(format.entry), packet_length(stretches) * format.rate / US_PER_SECOND)


class SoundWriter:
    """Puts packets of one format behind one another."""

    def __init__(
        self, path: Path, format: SoundFormat, samples: int, *, length_us: int | None, before: int = 0
    ) -> None:
        """`before` is how many packets are before the file, in a stream of which it is a part. `length_us` is that of
        the whole clip; None if more follows.
        """
        self.path = path
        self._silence = silence(format.entry, format.rate, samples)
        self.samples = samples
        """How many each packet has."""
        self.packet_us = samples * US_PER_SECOND / format.rate
        self.before = before
        self._length_us = length_us
        self._most = None if length_us is None else int(length_us // self.packet_us)
        self._file = SoundFile(path, format.entry, format.rate, samples)
        self.has_sound = False
        self.late_us: float | None = None
        """How much later than it is put the first packet is heard."""

    @property
    def count(self) -> int:
        """How many packets there are, with those before the file."""
        return self.before + self._file.count

    def add(self, file: BinaryIO, stretch: SoundStretch, stretches: Sequence[ClipStretch]) -> None:
        """Add those packets of a stretch that are heard in the clip."""
        taken: list[int] = []
        begin = at = stretch.begin_byte
        for time_us, size in zip(stretch.times_us, stretch.sizes, strict=True):
            position_us = self._position(time_us, stretches)
            if position_us is not None:
                off = position_us / self.packet_us - self.count - len(taken)
                if off >= FARTHEST_OFF and self._silence is not None:
                    self._copy(file, begin, taken)
                    self._fill(round(off))
                    off -= round(off)
                if abs(off) >= FARTHEST_OFF or self._room < len(taken) + 1:
                    position_us = None
                elif self.late_us is None:
                    self.late_us = off * self.packet_us
            if position_us is None:
                self._copy(file, begin, taken)
            else:
                begin = at if not taken else begin
                taken.append(size)
            at += size
        self._copy(file, begin, taken)

    def take(self, packets: Sequence[bytes]) -> None:
        """Add packets that are in their places."""
        taken = packets[: self._room]
        if taken:
            self._file.add(b"".join(taken), [len(one) for one in taken])
            self.has_sound = True

    def fill_up_to(self, position_us: float) -> None:
        """Add silence, if there is nothing up to a place in the clip."""
        self._fill(int(position_us / self.packet_us) - self.count)

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    @property
    def _room(self) -> int:
        """How many packets the clip has room for."""
        return sys.maxsize if self._most is None else self._most - self.count

    def _position(self, time_us: int, stretches: Sequence[ClipStretch]) -> float | None:
        """Where a packet begins in the clip; None if its middle is not in it; at the end of the clip if none of it is,
        since sound that is a little too early has room for one more.
        """
        middle_us = time_us + self.packet_us / 2
        after = bisect.bisect_right(stretches, middle_us, key=lambda one: one.from_us)
        if after == 0:
            return None
        one = stretches[after - 1]
        last = self._length_us is not None and one.end_position_us >= self._length_us
        if (time_us if last else middle_us) >= one.to_us:
            return None
        return one.position_us + time_us - one.from_us

    def _fill(self, count: int) -> None:
        count = min(count, self._room)
        if count > 0 and self._silence is not None:
            for begin in range(0, count, _SILENT_AT_ONCE):
                some = min(_SILENT_AT_ONCE, count - begin)
                self._file.add(self._silence * some, [len(self._silence)] * some)

    def _copy(self, file: BinaryIO, begin: int, sizes: list[int]) -> None:
        """Write the packets that were taken, and forget them."""
        if sizes:
            file.seek(begin)
            self._file.add(file.read(sum(sizes)), sizes)
            self.has_sound = True
            sizes.clear()
