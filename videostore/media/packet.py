"""What a source yields: pictures or coded frames with the time at which they were captured, and gaps between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What must stay the same within one run of ffmpeg."""

    codec: str
    """Name of the codec as ffmpeg knows it: `mjpeg`, `png`, `rawvideo`, `h264`, `hevc` …"""
    width: int
    height: int
    parameter_sets: bytes = b""
    """Of H.264 and H.265: what a decoder must know before the first picture, in Annex B; empty for other codecs."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame as its source delivered it."""

    format: StreamFormat
    data: bytes
    """Of H.264 and H.265: Annex B, in each keyframe with the parameter sets, and no frame is shown before its
    predecessor."""
    captured_us: int
    """Moment of capture, UTC."""
    keyframe: bool = True
    """Whether decoding can begin here, and with it a run."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The source has stopped delivering; the recording must not pretend otherwise."""

    reason: str


@runtime_checkable
class Source(Protocol):
    """Anything that can be recorded. The recorder alone iterates it, and closes the iterator."""

    def packets(self) -> AsyncIterator[Packet | Gap]:
        """Yield packets in the order of their capture; never raise for a fault of the device.

        The end of the iterator is the end of the recording: a source that only pauses yields a gap instead.
        """
