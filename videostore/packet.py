"""What a source yields: pictures or coded frames with the time at which they were captured, and gaps between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What must stay the same within one run of ffmpeg."""

    codec: str
    """Name of the codec as ffmpeg knows it: `mjpeg`, `png`, `rawvideo` …"""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame as its source delivered it."""

    format: StreamFormat
    data: bytes
    captured_us: int
    """Moment of capture, UTC."""
    keyframe: bool = True


@dataclass(frozen=True, slots=True)
class Gap:
    """The source has stopped delivering; the recording must not pretend otherwise."""

    reason: str


class Source(Protocol):
    """Anything that can be recorded. The recorder alone iterates it, and closes the iterator."""

    def packets(self) -> AsyncIterator[Packet | Gap]:
        """Yield packets in the order of their capture, without end; never raise for a fault of the device."""
