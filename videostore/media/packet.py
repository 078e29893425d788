"""What a source yields: images or coded frames with their capture times, and gaps."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from videostore.media.damage_mark import DamageMark
from videostore.media.sound import SoundFormat, SoundPacket


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What stays the same within one run."""

    codec: str
    """ffmpeg's name of the codec: `mjpeg`, `png`, `rawvideo`, `h264`, `hevc` …"""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    parameter_sets: bytes = b""
    """For H.264 and H.265: what a decoder needs before the first frame, in Annex B; empty for other codecs."""
    orientation: int = 1
    """How EXIF says that the rows are to be shown, 1 to 8; 1 is upright. The recording is upright."""
    reordered: int = 0
    """For H.264 and H.265 with B frames: how many frames may come after one that is shown later than they are, as the
    parameter sets say. 0: frames come in the order in which they are shown."""
    sound: SoundFormat | None = None
    """That of the sound beside the video; None without."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame from a source."""

    format: StreamFormat
    data: bytes
    """For H.264 and H.265: Annex B, with the parameter sets in every keyframe. Frames come in the order in which they
    are decoded: with B frames, one may be captured earlier than the one before it, but none earlier than what is
    decoded before the last keyframe. Those that are captured before that keyframe need the frames before it."""
    captured_us: int
    """Capture time in microseconds, UTC."""
    keyframe: bool = True
    """Whether decoding, and so a run, can begin with this frame."""
    sound: tuple[SoundPacket, ...] = ()
    """The sound that came since the packet before it, none later than this frame."""
    damage: DamageMark | None = None
    """For H.264 and H.265: that the frame, or one that it needs, came damaged. It is stored with this mark."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The source has stopped yielding frames: the last one must not appear to last until the next."""

    reason: str
    """Why, for people."""


@runtime_checkable
class Source(Protocol):
    """Anything that can be recorded. Only the recorder iterates over it, and it closes the iterator."""

    def packets(self) -> AsyncIterator[Packet | Gap]:
        """Yield packets in the order in which they are decoded: that of their capture times, unless the format says
        that frames are reordered. Never raises because of a fault of the device.

        The recording ends with the iterator. A source that only pauses yields a gap.
        """


@runtime_checkable
class BatchSource(Source, Protocol):
    """A source that can yield what comes together at once, which costs less for each packet."""

    def batches(self) -> AsyncIterator[Sequence[Packet | Gap]]:
        """Yield the same as `packets`, some at a time."""


async def batches_of(source: Source) -> AsyncIterator[Sequence[Packet | Gap]]:
    """What a source yields, some at a time if it can."""
    # A subclass that has only `packets` of its own is asked for these.
    owner = next((one for one in type(source).__mro__ if "packets" in vars(one)), None)
    if isinstance(source, BatchSource) and owner is not None and "batches" in vars(owner):
        async with contextlib.aclosing(source.batches()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                yield batch
        return
    async with contextlib.aclosing(source.packets()) as packets:  # type: ignore[type-var]
        async for item in packets:
            yield (item,)


@runtime_checkable
class StoppableSource(Source, Protocol):
    """A source that can be told to end."""

    @property
    def told_to_end(self) -> bool:
        """Whether it was."""


@runtime_checkable
class FaultCount(Protocol):
    """A source that counts the frames that it does not yield because they came damaged."""

    faulty_frames: int
    last_fault: str
    """What was wrong with the last of them, for people."""
