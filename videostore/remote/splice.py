"""Pieces: how clips of ranges that meet become one clip, exact to the frame and without encoding.

A clip of [b, c) begins at the keyframe before b, and its edit list hides what lies between the two. These hidden
packets are the last ones of the clip of [a, b), byte for byte. So they are left out, which joins the two in the middle
of a group of pictures, and tell to the microsecond how far apart the frames on both sides are. ffmpeg's own joining
shows them once more, and late.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import ffmpeg

from videostore.base.constants import US_PER_SECOND
from videostore.ffmpeg.concat_list import CONCAT_INPUT, ListedFile, concat_list
from videostore.ffmpeg.options import EXACT_TIMES, REENCODED
from videostore.ffmpeg.process import run_ffmpeg

_TIME_BASE = Fraction(1, US_PER_SECOND)
_DIGEST_BYTES = 16
_OPTIONS = {"movie_timescale": str(US_PER_SECOND)}
"""In milliseconds, the default, the edit list could end before the last frame."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded frame of a clip."""

    digest: bytes
    keyframe: bool
    hidden: bool
    at_us: int
    """When it is shown, from the clip's start; negative where it is hidden."""
    duration_us: int


@dataclass(frozen=True, slots=True)
class Seam:
    """How a piece continues a clip."""

    written: int
    """So many of its packets are in the clip already."""
    shift_us: int
    """What lies between its own times and the clip's."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip that is to become part of another one."""

    path: Path
    codec: str
    width: int
    height: int
    setup: bytes
    packets: tuple[Packet, ...]

    @classmethod
    def read(cls, path: Path) -> Piece:
        """Read what a file holds. Blocking.

        Raises:
            av.error.FFmpegError: it is no video.
            ValueError: it holds no frame.
        """
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError("it holds no video")
            context = container.streams.video[0].codec_context
            packets = tuple(_described(packet) for packet in _packets(container))
            if all(packet.hidden for packet in packets):
                raise ValueError("it holds no frame")
            return cls(path, context.name, context.width, context.height, context.extradata or b"", packets)

    @property
    def head(self) -> int:
        """How many packets are hidden at its start."""
        return next(number for number, packet in enumerate(self.packets) if not packet.hidden)

    @property
    def plain(self) -> bool:
        """Whether its frames stand in the order in which they are shown, and hidden ones only at its start."""
        times = [packet.at_us for packet in self.packets]
        return times == sorted(times) and not any(packet.hidden for packet in self.packets[self.head :])

    def joins(self, other: Piece) -> bool:
        """Whether a player can play on from one into the other; H.264's parameter sets are repeated in each clip."""
        if (self.codec, self.width, self.height) != (other.codec, other.width, other.height):
            return False
        return self.plain and other.plain and (self.codec == "h264" or self.setup == other.setup)

    def distance_us(self, one: Packet, other: Packet) -> int | None:
        """How far apart two frames are, where this piece holds both, one behind the other.

        None as well where there are several such pairs, for a still scene may repeat itself to the byte.
        """
        found = {
            b.at_us - a.at_us
            for a, b in zip(self.packets, self.packets[1:], strict=False)
            if (a.digest, b.digest) == (one.digest, other.digest)
        }
        return found.pop() if len(found) == 1 else None


class Joint:
    """A clip that grows by pieces that join. Owns the file until `close`; all of it is blocking."""

    def __init__(self, path: Path, first: Piece, *, faststart: bool) -> None:
        """Begin with a piece. With `faststart` the clip's index is moved to its front at the end."""
        self.path = path
        self.first = first
        self._tail: list[Packet] = []
        """What a decoder has seen since the last keyframe."""
        self._distance_us = US_PER_SECOND // 25
        options = {**_OPTIONS, **({"movflags": "+faststart"} if faststart else {})}
        with av.open(str(first.path)) as source:
            self._output = av.open(str(path), "w", format="mp4", options=options)
            self._stream = self._output.add_stream_from_template(source.streams.video[0])
            self._stream.time_base = _TIME_BASE
            self._output.metadata.update(
                {name: source.metadata[name] for name in ("creation_time", "comment") if name in source.metadata}
            )
        self.add(first, Seam(0, -first.packets[first.head].at_us))

    @property
    def last(self) -> Packet:
        """The last frame so far."""
        return self._tail[-1]

    @property
    def end_us(self) -> int:
        """Where it ends, as far as the last frame tells; where it does not, as the one before it does.

        Older modules with an ffmpeg before 8 give the last frame no length, or one unit of time.
        """
        told_us = self.last.duration_us
        return self.last.at_us + (told_us if told_us > 1 else self._distance_us)

    def seam(self, piece: Piece, distance_us: int | None = None) -> Seam | None:
        """How a piece continues this clip; None where that would show it broken.

        `distance_us` lies between the last frame and the piece's first one, where nothing of the piece is hidden; None:
        as long as the last frame says of itself.
        """
        if not self.first.joins(piece):
            return None
        if piece.head == 0:
            at_us = self.end_us if distance_us is None else self.last.at_us + distance_us
            return Seam(0, at_us - piece.packets[0].at_us)
        # What is hidden must be there, from the keyframe on. What follows was not recorded yet a moment ago.
        written = [packet.digest for packet in self._tail]
        hidden = [packet.digest for packet in piece.packets[: piece.head]]
        for end in range(len(hidden), len(written) - 1, -1):
            if hidden[end - len(written) : end] == written:
                return Seam(end, self.last.at_us - piece.packets[end - 1].at_us)
        return None

    def add(self, piece: Piece, seam: Seam) -> None:
        """Take over the packets of a piece."""
        with av.open(str(piece.path)) as source:
            for packet, described in zip(_packets(source), piece.packets, strict=True):
                if seam.written > 0:
                    seam = Seam(seam.written - 1, seam.shift_us)
                    continue
                at_us = described.at_us + seam.shift_us
                decoded_us = at_us if packet.dts is None else _us(packet.dts, packet.time_base) + seam.shift_us
                packet.stream = self._stream
                packet.time_base = _TIME_BASE
                packet.pts, packet.dts, packet.duration = at_us, decoded_us, described.duration_us
                self._output.mux(packet)
                if self._tail:
                    self._distance_us = at_us - self.last.at_us
                if described.keyframe:
                    self._tail.clear()
                self._tail.append(
                    Packet(described.digest, described.keyframe, described.hidden, at_us, described.duration_us)
                )

    def close(self) -> None:
        """Complete the file. May be called again."""
        self._output.close()


async def even_out(joints: Sequence[Joint], path: Path, binary: str) -> None:
    """Make one clip of several that do not join: encoded anew in the largest of their sizes, as a save does.

    The files in the making stand beside `path`. `binary` is the ffmpeg to use.

    Raises:
        FFmpegError: ffmpeg failed.
    """
    largest = max((joint.first for joint in joints), key=lambda piece: piece.width * piece.height)
    width, height = largest.width + largest.width % 2, largest.height + largest.height % 2
    listed = []
    for number, joint in enumerate(joints):
        encoded = path.with_name(f"even{number}.mp4")
        video = ffmpeg.input(str(joint.path)).video
        video = video.filter("scale", width, height, force_original_aspect_ratio="decrease")
        video = video.filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2").filter("setsar", 1)
        await _run(video.output(str(encoded), f="mp4", map_metadata=0, **REENCODED, **EXACT_TIMES), binary)
        joint.path.unlink()
        listed.append(ListedFile(Path(encoded.name), joint.end_us))
    list_path = path.with_name("even.txt")
    list_path.write_text(concat_list(listed), encoding="utf-8")
    source, tags = ffmpeg.input(str(list_path), **CONCAT_INPUT), ffmpeg.input(str(path.with_name("even0.mp4")))
    options = {"f": "mp4", "c": "copy", "map_metadata": 1, **_OPTIONS}
    await _run(ffmpeg.output(source.video, tags["d?"], str(path), **options), binary)


async def _run(stream: Any, binary: str) -> None:
    command = stream.global_args("-hide_banner", "-nostats", "-loglevel", "level+warning", "-y").compile(cmd=binary)
    await run_ffmpeg(command)


def _packets(container: Any) -> Iterator[Any]:
    for packet in container.demux(container.streams.video[0]):
        if packet.size:  # the last, empty one flushes decoders
            yield packet


def _described(packet: Any) -> Packet:
    return Packet(
        digest=hashlib.blake2b(packet, digest_size=_DIGEST_BYTES).digest(),
        keyframe=packet.is_keyframe,
        hidden=packet.is_discard,
        at_us=_us(packet.pts, packet.time_base),
        duration_us=_us(packet.duration or 0, packet.time_base),
    )


def _us(time: int, time_base: Fraction) -> int:
    return round(time * time_base * US_PER_SECOND)
