"""Splicing: clips of adjacent ranges become one clip, exact to the frame and without re-encoding.

A clip that is to follow another one is fetched from a little earlier, so that it also has the last keyframe of the one
before and what follows that, byte for byte. What both have is left out here, which joins the two clips in the middle of
a group of pictures, and it shows how far apart the frames on both sides are. ffmpeg's own concatenation would show it a
second time, and late.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.ffmpeg.options import CLIP_TIMESCALE
from videostore.media.clip_times import (
    DATE,
    STRETCHES,
    TITLE,
    ClipStretch,
    ClipTimes,
    continued,
    parse_time_tags,
    position_of,
    time_tags,
)
from videostore.media.decoder_setup import DecoderSetup, NoSetupError
from videostore.media.libav import av
from videostore.media.look import Look
from videostore.media.mp4_tags import write_synopsis
from videostore.remote.spliced_sound import SplicedSound

_TIME_BASE = Fraction(1, US_PER_SECOND)
_DIGEST_BYTES = 16
_STEP_US = 2 * US_PER_SECOND // CLIP_TIMESCALE
"""Frames of two pieces are decoded so far apart at least, where the second is decoded early for its B frames."""
_FAR_US = 1 << 40
_KEPT_TAGS = ("creation_time", "comment", TITLE, DATE)
"""Those of the first piece are right for the whole clip; `STRETCHES` are only known at its end."""
CLIP_OPTIONS = {"movie_timescale": str(US_PER_SECOND), "video_track_timescale": str(CLIP_TIMESCALE)}
"""With the default, milliseconds, the edit list could end before the last frame."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded frame of a clip."""

    digest: bytes
    """Of its bytes."""
    keyframe: bool
    hidden: bool
    """Whether the edit list hides it."""
    time_us: int
    """When it is shown, from the start of the clip; negative if it is hidden."""
    duration_us: int


@dataclass(frozen=True, slots=True)
class SplicePoint:
    """Where a piece continues a clip."""

    skipped_packets: int
    """How many of the piece's first packets are already in the clip."""
    offset_us: int
    """What is added to the piece's times to get those of the clip."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip that becomes part of a longer one."""

    path: Path
    codec: str
    width: int
    height: int
    extradata: bytes
    look: Look
    packets: tuple[Packet, ...]
    times: ClipTimes | None = None
    """What it tells about its own time; None for a clip of an older module."""

    @classmethod
    def read(cls, path: Path) -> Piece:
        """Read the packets of a file. Blocking.

        Raises:
            av.error.FFmpegError: the file is not a video.
            ValueError: the file has no frames.
        """
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError("it has no video")
            stream = container.streams.video[0]
            context, look = stream.codec_context, Look.of_stream(stream)
            packets = tuple(_describe(packet) for packet in _packets(container))
            if all(packet.hidden for packet in packets):
                raise ValueError("it has no frames")
            times = parse_time_tags(container.metadata)
            extradata = context.extradata or b""
            return cls(path, context.name, context.width, context.height, extradata, look, packets, times)

    @property
    def hidden_packets(self) -> int:
        """How many packets are hidden at its start."""
        return next(number for number, packet in enumerate(self.packets) if not packet.hidden)

    @property
    def first(self) -> Packet:
        """The first frame that is shown."""
        return self.packets[self.hidden_packets]

    @property
    def in_display_order(self) -> bool:
        """Whether the packets are in the order in which they are shown, and hidden ones only at the start."""
        times = [packet.time_us for packet in self.packets]
        return times == sorted(times) and not any(packet.hidden for packet in self.packets[self.hidden_packets :])

    def joins(self, other: Piece) -> bool:
        """Whether a player can continue from one piece into the other. H.264 clips repeat their parameter sets."""
        if (self.codec, self.width, self.height, self.look) != (other.codec, other.width, other.height, other.look):
            return False
        same_setup = self.codec == "h264" or self.extradata == other.extradata or self._has_sets_of(other)
        # A clip whose first frame is decoded when it is shown would be told too short by the delay of the others.
        same_delay = other.in_display_order or not self.in_display_order
        return self._is_plain and other._is_plain and same_setup and same_delay

    @property
    def _is_plain(self) -> bool:
        """Whether it shows all that is behind its start. With B frames, only tags tell where it continues another."""
        if self.in_display_order:
            return True
        tells = self.times is not None and not self.times.unlisted
        return tells and not any(packet.hidden for packet in self.packets)

    def _has_sets_of(self, other: Piece) -> bool:
        """Whether a decoder of this piece can decode the other one too."""
        if self.codec != "hevc":
            return False
        try:
            own, others = (DecoderSetup(one.codec, 0, one.extradata).sets for one in (self, other))
        except NoSetupError:
            return False
        return set(others) <= set(own)

    @property
    def shown_packets(self) -> int:
        """How many packets are not hidden."""
        return len(self.packets) - self.hidden_packets

    def interval_us(self, number: int) -> int | None:
        """The time between the shown frame with this number, counted from 1, and the next; None if there is no next."""
        times_us = sorted(packet.time_us for packet in self.packets if not packet.hidden)
        return times_us[number] - times_us[number - 1] if number < len(times_us) else None


class SplicedClip:
    """A clip to which pieces are appended. Owns the file until `close`. All methods block."""

    def __init__(self, path: Path, first: Piece, *, faststart: bool) -> None:
        """Start with a piece. With `faststart` the clip's index is moved to the front of the file by `close`."""
        self.path = path
        self.first = first
        self._group: list[Packet] = []
        """The packets since the last keyframe, which a decoder has seen."""
        self._last_shown: Packet | None = None
        self._reordered = False
        self._decoded_us = -_FAR_US
        """When the last packet is decoded."""
        self._interval_us = US_PER_SECOND // 25
        """The time between the last two frames."""
        self._faststart = faststart
        self._closed = False
        self._stretches: tuple[ClipStretch, ...] | None = ()
        """When its frames were captured; None if a piece does not tell it."""
        self._sound = SplicedSound(path)
        with av.open(str(first.path)) as source:
            self._output = av.open(str(path), "w", format="mp4", options=CLIP_OPTIONS)
            self._stream = self._output.add_stream_from_template(source.streams.video[0])
            self._stream.time_base = _TIME_BASE
            self._output.metadata.update(
                {name: source.metadata[name] for name in _KEPT_TAGS if name in source.metadata}
            )
        self.append(first, SplicePoint(0, -first.first.time_us))

    @property
    def last(self) -> Packet:
        """The frame that is shown last so far."""
        assert self._last_shown is not None
        return self._last_shown

    @property
    def end_us(self) -> int:
        """When the last frame ends. If its duration is missing, it is as long as the interval before it.

        Older modules with an ffmpeg before version 8 give the last frame no duration, or one unit of time.
        """
        duration_us = self.last.duration_us
        return self.last.time_us + (duration_us if duration_us > 1 else self._interval_us)

    @property
    def length_us(self) -> int:
        """The same, to the microsecond if the pieces tell it."""
        return self._stretches[-1].end_position_us if self._stretches else self.end_us

    @property
    def stretches(self) -> tuple[ClipStretch, ...] | None:
        """When its frames were captured; None if a piece does not tell it."""
        return self._stretches

    def tells_where(self, piece: Piece) -> bool:
        """Whether a piece continues this clip at a place that its tags and those of the clip tell."""
        return bool(self._stretches) and piece.times is not None and not piece.times.unlisted

    def splice_point(self, piece: Piece, interval_us: int | None = None) -> SplicePoint | None:
        """Where a piece continues this clip; None if the result could not be decoded.

        `interval_us` is the time between the last frame and the piece's first one, for a piece that has nothing of it.
        None stands for the duration of the last frame.
        """
        if not self.first.joins(piece):
            return None
        if (point := self.overlap(piece)) is not None:
            return point
        if piece.hidden_packets == 0 and self.tells_where(piece):
            # Not the times of the frames: each is rounded, and over hundreds of pieces that would add up.
            return SplicePoint(0, self.length_us)
        if piece.hidden_packets == 0:
            time_us = self.end_us if interval_us is None else self.last.time_us + interval_us
            return SplicePoint(0, time_us - piece.first.time_us)
        return None

    @property
    def overlap_us(self) -> int:
        """How long before its end a piece must begin that is to have the last keyframe too.

        With B frames none does: the end of each piece is encoded by itself.
        """
        if self._reordered:
            return _FAR_US
        return self.last.time_us - self._group[0].time_us + max(self.last.duration_us, self._interval_us)

    def overlap(self, piece: Piece) -> SplicePoint | None:
        """Where a piece continues this clip that has the end of it too, from the last keyframe on; None if it has not.

        Some of it may be hidden, and some have been recorded since.
        """
        if not self.first.joins(piece):
            return None
        written = [packet.digest for packet in self._group]
        begins = [number for number, packet in enumerate(piece.packets) if packet.digest == written[0]]
        for begin in begins:
            end = begin + len(written)
            if [packet.digest for packet in piece.packets[begin:end]] == written:
                offset_us = self._group[-1].time_us - piece.packets[end - 1].time_us
                if self._stretches and piece.times is not None:
                    offset_us = position_of(self._stretches, piece.times.first_us, offset_us)
                return SplicePoint(end, offset_us)
        return None

    def append(self, piece: Piece, point: SplicePoint) -> None:
        """Copy the packets of a piece, from a splice point on."""
        self._append_stretches(piece, point)
        begins_us = min((one.time_us for one in piece.packets[point.skipped_packets :]), default=0) + point.offset_us
        self._sound.append(piece.path, max(0, begins_us), point.offset_us)
        self._reordered |= not piece.in_display_order
        last = max(piece.packets, key=lambda packet: packet.time_us)
        end_us = piece.times.listed_us if piece.times is not None and not piece.in_display_order else None
        with av.open(str(piece.path)) as source:
            for number, (packet, described) in enumerate(zip(_packets(source), piece.packets, strict=True)):
                if number < point.skipped_packets:
                    continue
                time_us = described.time_us + point.offset_us
                decoding_us = time_us if packet.dts is None else _us(packet.dts, packet.time_base) + point.offset_us
                self._decoded_us = decoding_us = max(decoding_us, min(self._decoded_us + _STEP_US, time_us))
                packet.stream = self._stream
                packet.time_base = _TIME_BASE
                # With B frames, what a file says is how long until the next frame is decoded.
                lasts_us = described.duration_us if end_us is None or described is not last else end_us - last.time_us
                packet.pts, packet.dts, packet.duration = time_us, decoding_us, lasts_us
                self._output.mux(packet)
                shown = Packet(described.digest, described.keyframe, described.hidden, time_us, described.duration_us)
                if self._last_shown is None or time_us > self.last.time_us:
                    self._interval_us = time_us - self.last.time_us if self._last_shown else self._interval_us
                    self._last_shown = shown
                if described.keyframe:
                    self._group.clear()
                self._group.append(shown)

    def _append_stretches(self, piece: Piece, point: SplicePoint) -> None:
        # Frames that the piece hides and the clip shows are not in the piece's tags.
        shows_hidden = bool(self._group) and point.skipped_packets < piece.hidden_packets
        if self._stretches is None or piece.times is None or piece.times.unlisted or shows_hidden:
            self._stretches = None
            return
        moved = (replace(one, position_us=one.position_us + point.offset_us) for one in piece.times.stretches)
        self._stretches = continued(self._stretches, moved)

    def close(self) -> None:
        """Complete the file. It can be called again."""
        if self._closed:
            return
        self._closed = True
        self._output.close()
        self._sound.join(self.end_us)
        write_synopsis(self.path, stretches_tag(self._stretches), faststart=self._faststart)


def stretches_tag(stretches: Sequence[ClipStretch] | None) -> str | None:
    """The tag of a clip's stretches; None if they are not known."""
    return time_tags("", stretches)[STRETCHES] if stretches else None


def _packets(container: Any) -> Iterator[Any]:
    for packet in container.demux(container.streams.video[0]):
        if packet.size:  # the last packet is empty, to flush decoders
            yield packet


def _describe(packet: Any) -> Packet:
    return Packet(
        digest=hashlib.blake2b(packet, digest_size=_DIGEST_BYTES).digest(),
        keyframe=packet.is_keyframe,
        hidden=packet.is_discard,
        time_us=_us(packet.pts, packet.time_base),
        duration_us=_us(packet.duration or 0, packet.time_base),
    )


def _us(time: int, time_base: Fraction) -> int:
    return round(time * time_base * US_PER_SECOND)
