"""The sound of a window of a long stream, if some of it has another format than the stream: all is encoded to that.

Encoders hear a little before and behind the window, so that the packets of one window go on from those of the other.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.clips.clip_sound import SoundFormat, SoundWriter, samples_of, sounding
from videostore.clips.plan import Plan
from videostore.clips.stream_sound import EncodedSound, KeptPacket, SoundSoFar, StreamSound, add_kept, stretches_of
from videostore.media.clip_times import ClipStretch
from videostore.media.libav import av
from videostore.media.silence import codec_of, packets_before
from videostore.media.sound_track import SoundStretch

_AROUND_US = US_PER_SECOND // 2
"""So much before and behind a window is heard: several packets of any format, also of 8 kHz."""


_EARLY = 2
"""So many packets before it a file begins, because each may be off its place. That is then left out exactly."""


@dataclass(frozen=True, slots=True)
class MixedSound:
    """What is to be encoded."""

    files: tuple[tuple[Path, int], ...]
    """Files of one format each, silent where the sound has another, and how many microseconds of each are left out."""
    output: Path
    sound: StreamSound
    first: int
    """The place in the stream of what is encoded, in packets."""
    kept: tuple[KeptPacket, ...]

    @property
    def encoding(self) -> Mapping[str, str | int]:
        """How, as ffmpeg's options."""
        return self.sound.encoding or {}

    def encoded(self) -> EncodedSound:
        """What was encoded. Blocking.

        Raises:
            OSError: it cannot be read.
        """
        with av.open(str(self.output), format="nut") as container:
            packets = [bytes(one) for one in container.demux(audio=0) if one.size]
        return EncodedSound(self.first, packets[packets_before(codec_of(self.sound.format.entry)) :], self.kept)


def mixed_sound(sound: StreamSound, so_far: SoundSoFar, plan: Plan, work: Path, position_us: int) -> MixedSound | None:
    """What is to be encoded of a window, whose first frame is at a place in the stream; None if all that sounds has the
    format of the stream, or can have it in no way. Writes the files. Blocking.

    Raises:
        OSError: a file cannot be read or written.
    """
    if sound.encoding is None:
        return None
    others = any(one.format != sound.format for one in sounding(plan))
    if not (others or any(one.format != sound.format for one in so_far.kept)):
        return None
    of_run, end = stretches_of(plan, so_far, position_us)
    last_run = plan.parts[-1].segment.run_us
    before_run = None if so_far.last is None else so_far.last[0]
    heard = {run: _widened(shown, before=run == before_run, behind=run == last_run) for run, shown in of_run.items()}
    first = max(0, so_far.count - int(_AROUND_US / sound.packet_us))
    mix = _Writers(work, first * sound.packet_us, heard)
    kept = [one for one in so_far.kept if one.run_us == last_run]
    try:
        for packet in so_far.kept:
            mix.add_kept(packet)
        for one in sounding(plan):
            writer = mix.writer(one.format, samples_of(one.format, one.stretches))
            with one.path.open("rb") as file:
                for stretch in one.stretches:
                    # What was kept is in these files, too.
                    new = _behind(stretch, mix.kept_us.get(one.run_us), writer.packet_us)
                    writer.add(file, new, heard.get(one.run_us, ()))
                    if one.run_us == last_run:
                        for time_us, at, size in _near(stretch, end.to_us):
                            file.seek(at)
                            kept.append(KeptPacket(one.run_us, time_us, file.read(size), one.format, writer.samples))
    finally:
        files = mix.close()
    if not files:
        return None
    near = {one.time_us: one for one in kept if abs(one.time_us - end.to_us) < _AROUND_US}
    return MixedSound(files, work / "mixed.nut", sound, first, tuple(near[time_us] for time_us in sorted(near)))


class _Writers:
    """One file for each format, all of which begin at about one place in the stream."""

    def __init__(self, work: Path, begin_us: float, heard: dict[int | None, list[ClipStretch]]) -> None:
        self._work = work
        self._begin_us = begin_us
        self._heard = heard
        self._writers: dict[SoundFormat, SoundWriter] = {}
        self.kept_us: dict[int | None, int] = {}
        """When the last packet of a run begins that the window before has kept."""

    def writer(self, format: SoundFormat, samples: int) -> SoundWriter:
        """That of a format with packets of so many samples."""
        if format not in self._writers:
            before = int(self._begin_us * format.rate / samples / US_PER_SECOND) - _EARLY
            path = self._work / f"other{len(self._writers)}.mp4"
            self._writers[format] = SoundWriter(path, format, samples, length_us=None, before=before)
        return self._writers[format]

    def add_kept(self, packet: KeptPacket) -> None:
        """Add what the window before has kept of a format."""
        writer = self.writer(packet.format, packet.samples)
        add_kept(writer, packet, self._heard.get(packet.run_us, ()))
        self.kept_us[packet.run_us] = packet.time_us

    def close(self) -> tuple[tuple[Path, int], ...]:
        """The files that have sound, and what of them is before the place in the stream."""
        files = []
        for writer in self._writers.values():
            begin_us, late_us = writer.before * writer.packet_us, writer.late_us or 0.0
            writer.close()
            if writer.has_sound:
                files.append((writer.path, round(self._begin_us - begin_us - late_us)))
        return tuple(files)


def _widened(stretches: list[ClipStretch], *, before: bool, behind: bool) -> list[ClipStretch]:
    """The same with what is a little before the first and behind the last."""
    made = list(stretches)
    if before:
        first = made[0]
        made[0] = replace(first, position_us=first.position_us - _AROUND_US, from_us=first.from_us - _AROUND_US)
    if behind:
        made[-1] = replace(made[-1], to_us=made[-1].to_us + _AROUND_US)
    return made


def _behind(stretch: SoundStretch, kept_us: int | None, packet_us: float) -> SoundStretch:
    """What of a stretch begins behind a packet."""
    if kept_us is None:
        return stretch
    first = bisect.bisect_left(stretch.times_us, kept_us + packet_us / 2)
    begin_byte = stretch.begin_byte + sum(stretch.sizes[:first])
    return SoundStretch(stretch.times_us[first:], stretch.sizes[first:], begin_byte)


def _near(stretch: SoundStretch, end_us: int) -> list[tuple[int, int, int]]:
    """The times, places and sizes of packets that are near to the end of a window."""
    found, at = [], stretch.begin_byte
    for time_us, size in zip(stretch.times_us, stretch.sizes, strict=True):
        if abs(time_us - end_us) < _AROUND_US:
            found.append((time_us, at, size))
        at += size
    return found
