"""The sound of a long stream, cut window by window, in which each packet follows the one before. All of it blocks.

A packet is in the window in which its middle is shown. It may be stored in a file that only the window before reads, so
what is behind the end of a window is kept for the next one.

Where a window has sound of another format, all of its sound is encoded (`MixedSound`), and takes its place.
"""

from __future__ import annotations

import io
import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import FFmpegError
from videostore.clips.clip_sound import SoundFormat, SoundingFile, SoundWriter, samples_of, sounding
from videostore.clips.plan import Plan
from videostore.clips.time_tags import part_stretches
from videostore.media.clip_times import ClipStretch
from videostore.media.silence import encoding_of
from videostore.media.sound import SoundFormat as CodedSound
from videostore.media.sound import sample_entry
from videostore.media.sound_track import SoundStretch

_LATE_US = US_PER_SECOND
"""Sound that is missing at the end of a window may still be written: so long silence is not put there."""

_Place = tuple[int | None, int]
"""A segment: its run, and where it begins."""


@dataclass(frozen=True, slots=True)
class StreamSound:
    """The sound of a stream: what stays the same in all of it."""

    format: SoundFormat
    samples: int
    """How many samples each packet has."""

    @property
    def packet_us(self) -> float:
        """How long a packet is."""
        return self.samples * US_PER_SECOND / self.format.rate

    @property
    def encoding(self) -> dict[str, str | int] | None:
        """ffmpeg's options that make such sound of other formats; None if it cannot be made."""
        return encoding_of(self.format.entry, self.format.rate, self.samples)

    @classmethod
    def of(cls, format: SoundFormat, stretches: Sequence[SoundStretch]) -> StreamSound:
        """That of files like one that has these stretches."""
        return cls(format, samples_of(format, stretches))


ENCODED_SOUND = StreamSound(
    SoundFormat(sample_entry(CodedSound("aac", 48_000, 1, b"\x11\x88")), 48_000),
    samples=1024,
)
"""That of a stream of several formats of which none can be encoded to."""


@dataclass(frozen=True, slots=True)
class KeptPacket:
    """A packet that is behind the end of a window, or if that is encoded, near it."""

    run_us: int | None
    time_us: int
    data: bytes
    format: SoundFormat
    samples: int


@dataclass(frozen=True, slots=True)
class SoundSoFar:
    """How far the sound of a stream has come at the end of a window."""

    count: int = 0
    """Packets so far."""
    kept: tuple[KeptPacket, ...] = ()
    read: Mapping[_Place, int] = field(default_factory=dict)
    """Up to which byte of the last files all packets were looked at."""
    last: tuple[int | None, ClipStretch] | None = None
    """The run and the place of the last part, of which some sound may come late."""


@dataclass(frozen=True, slots=True)
class WindowSound:
    """The sound of one window."""

    path: Path
    begin_us: int
    """Where it begins in the stream."""
    after: SoundSoFar


@dataclass(frozen=True, slots=True)
class EncodedSound:
    """The sound of a window of which some had another format."""

    first: int
    """The place of the first packet in the stream, counted in packets."""
    packets: Sequence[bytes]
    kept: tuple[KeptPacket, ...]
    """What is near the end of the window."""


def cut_window(
    sound: StreamSound,
    so_far: SoundSoFar,
    plan: Plan,
    path: Path,
    position_us: int,
    *,
    more: bool,
    encoded: EncodedSound | None = None,
) -> WindowSound:
    """Write the sound of a window, whose first frame is at a place in the stream, into a file.

    `more` tells whether other windows follow. What is `encoded` takes the place of all that is stored.

    Raises:
        FFmpegError: the recording has another format of sound there.
        OSError: a file cannot be read or written.
    """
    of_run, end = stretches_of(plan, so_far, position_us)
    last = plan.parts[-1].segment
    kept: list[KeptPacket] = []
    read: dict[_Place, int] = {}
    writer = SoundWriter(
        path, sound.format, sound.samples, length_us=None if more else end.end_position_us, before=so_far.count
    )
    try:
        if encoded is not None:
            until = math.ceil(end.end_position_us / sound.packet_us - 0.5) if more else sys.maxsize
            writer.take(encoded.packets[so_far.count - encoded.first : max(0, until - encoded.first)])
            kept += encoded.kept
        for packet in so_far.kept if encoded is None else ():
            if packet.format == sound.format:
                add_kept(writer, packet, of_run.get(packet.run_us, ()))
        for one in sounding(plan) if encoded is None else ():
            if one.format != sound.format:
                if sound.encoding is not None:  # none of it is heard
                    continue
                raise FFmpegError("stream-format-changed", at_us=max(one.start_us, plan.parts[0].first_us))
            place, ends_us = (one.run_us, one.start_us), None
            if more and one.run_us == last.run_us and one.start_us >= last.start_us:
                ends_us = end.to_us
            kept += _take(one, writer, of_run[one.run_us], so_far.read.get(place, 0), ends_us, read)
        writer.fill_up_to(end.end_position_us - _LATE_US * more)
        begin_us = round(so_far.count * sound.packet_us)
        after = SoundSoFar(writer.count, tuple(kept), read, (last.run_us, end))
        return WindowSound(path, begin_us, after)
    finally:
        writer.close()


def stretches_of(
    plan: Plan, so_far: SoundSoFar, position_us: int
) -> tuple[dict[int | None, list[ClipStretch]], ClipStretch]:
    """Where in the stream what was captured is shown of a window and the last part before it, by run, and the last."""
    stretches = [replace(one, position_us=one.position_us + position_us) for one in part_stretches(plan.parts)]
    of_run: dict[int | None, list[ClipStretch]] = {}
    if so_far.last is not None:
        of_run[so_far.last[0]] = [so_far.last[1]]
    for part, shown in zip(plan.parts, stretches, strict=True):
        of_run.setdefault(part.segment.run_us, []).append(shown)
    return of_run, stretches[-1]


def add_kept(writer: SoundWriter, packet: KeptPacket, stretches: Sequence[ClipStretch]) -> None:
    """Add a packet that was kept, if it has a place."""
    stretch = SoundStretch((packet.time_us,), (len(packet.data),), 0)
    writer.add(io.BytesIO(packet.data), stretch, stretches)


def _take(
    one: SoundingFile,
    writer: SoundWriter,
    stretches: Sequence[ClipStretch],
    from_byte: int,
    ends_us: int | None,
    read: dict[_Place, int],
) -> list[KeptPacket]:
    """Add what is heard of a file in a window that ends there. Returns what follows at once."""
    kept: list[KeptPacket] = []
    with one.path.open("rb") as file:
        for stretch in one.stretches:
            heard = kept_times = 0
            begins = list(itertools.accumulate(stretch.sizes, initial=stretch.begin_byte))
            skipped = sum(begin < from_byte for begin in begins[:-1])
            for time_us in stretch.times_us[skipped:]:
                middle_us = time_us + writer.packet_us / 2
                if ends_us is None or middle_us < ends_us:
                    heard += 1
                elif middle_us < ends_us + writer.packet_us:
                    kept_times += 1
            until = skipped + heard
            writer.add(file, _part(stretch, begins, skipped, until), stretches)
            for number in range(until, until + kept_times):
                file.seek(begins[number])
                data = file.read(stretch.sizes[number])
                kept.append(KeptPacket(one.run_us, stretch.times_us[number], data, one.format, writer.samples))
            if until + kept_times > skipped:
                from_byte = begins[until + kept_times]
    if ends_us is not None:
        read[one.run_us, one.start_us] = from_byte
    return kept


def _part(stretch: SoundStretch, begins: Sequence[int], first: int, end: int) -> SoundStretch:
    return SoundStretch(stretch.times_us[first:end], stretch.sizes[first:end], begins[first])
