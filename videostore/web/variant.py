"""The variant: what a playlist that leads to another one says of the stream, before a player has read any of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from videostore.base.constants import US_PER_SECOND
from videostore.media.segment import Segment

_USUAL_BITS = 2_000_000
"""While nothing is stored."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The rates of a stream in bits per second, and the size of its pictures."""

    peak_bits: int
    """Of its most demanding segment, rounded up."""
    average_bits: int
    """Of all of them, rounded up."""
    size: tuple[int, int] | None = None
    """Width and height of its largest picture in pixels; None if none is known."""

    def attributes(self, codecs: str) -> str:
        """Those of `EXT-X-STREAM-INF` (RFC 8216, 4.3.4.2), without `CODECS` if they have no name."""
        said = [f"BANDWIDTH={self.peak_bits}", f"AVERAGE-BANDWIDTH={self.average_bits}"]
        said += [f"RESOLUTION={self.size[0]}x{self.size[1]}"] if self.size else []
        said += [f'CODECS="{codecs}"'] if codecs else []
        return ",".join(said)


def variant_of(segments: Sequence[Segment]) -> Variant:
    """What these segments make."""
    timed = [one for one in segments if one.duration_us > 0]
    if not timed:
        return Variant(_USUAL_BITS, _USUAL_BITS)
    peak = max(_bits_per_second(one.size_bytes, one.duration_us) for one in timed)
    average = _bits_per_second(sum(one.size_bytes for one in timed), sum(one.duration_us for one in timed))
    largest = max(timed, key=lambda one: one.width * one.height)
    return Variant(peak, average, (largest.width, largest.height) if largest.width and largest.height else None)


def _bits_per_second(size_bytes: int, duration_us: int) -> int:
    return size_bytes * 8 * US_PER_SECOND // duration_us + 1
