"""How long the next piece of a clip is, and how much is in front of it: by what a response was found to hold."""

from __future__ import annotations

from videostore.base.constants import MIB, US_PER_SECOND
from videostore.base.errors import TooLargeError
from videostore.base.ranges import Range

RESPONSE_PRECISION_US = 1000
"""Times in responses are floored to the millisecond, so pieces begin and end at whole milliseconds."""

_AIM_SHARE = 0.4
"""How much of a response a piece aims to fill. It saves memory at both ends, and shows progress."""
_USUAL_LIMIT_BYTES = 24 * MIB
"""What a response of a module can hold: assumed if a refusal does not say it."""
_SHORT_US = 2 * US_PER_SECOND
"""Pieces get shorter only if they must: each carries up to a second that is hidden."""
_SHORTEST_PIECE_US = US_PER_SECOND // 100
"""No piece is shorter: what a module cannot send then, it cannot send at all."""
_OVERLAP_FACTOR = 4
"""A piece can have this many times its length in front of it. Where no response holds as much, its first frames are
encoded again."""
_LONGEST_OVERLAP_US = 20 * US_PER_SECOND
"""A piece is not fetched from earlier than this, even if keyframes are farther apart."""


class PieceLength:
    """Where the pieces of a clip begin and end."""

    def __init__(self, requested: Range) -> None:
        """`requested` is the range of the whole clip, which is tried first."""
        self.total_bytes = 0
        """About how large the clip is, once that is known."""
        self._requested = requested
        self._longest_us = requested.to_us - requested.from_us
        """How long the next piece can be."""
        self._largest_bytes = 0
        """Size of the largest piece so far."""
        self._aim_bytes: float | None = None
        self._alone_us: int | None = None
        """Where a piece begins that no response holds with what is in front of it."""

    def end_us(self, at_us: int) -> int:
        """Where the next piece ends. The rest is divided evenly, since a very short last piece might have no frame."""
        left_us = self._requested.to_us - at_us
        count = -(-left_us // self._longest_us)
        if count == 1:
            return self._requested.to_us
        return max(at_us + 1, (at_us + left_us // count) // RESPONSE_PRECISION_US * RESPONSE_PRECISION_US)

    def begin_us(self, at_us: int, overlap_us: int) -> int:
        """Where the next piece begins: `overlap_us` early, or not early if a response does not hold that."""
        overlap_us += RESPONSE_PRECISION_US
        most_us = min(_OVERLAP_FACTOR * self._longest_us, _LONGEST_OVERLAP_US)
        if at_us == self._alone_us or overlap_us > most_us:
            return at_us
        return max(self._requested.from_us, at_us - overlap_us)

    def refused(self, refusal: TooLargeError, piece: Range, overlap_us: int) -> None:
        """Request less after a refusal: as much as fits by the sizes that it names, or half if it names none.

        The piece had `overlap_us` in front of it. It is requested without that only if it would become too short: its
        first frames are encoded again then.

        Raises:
            TooLargeError: the refusal, if the shortest piece is still too large.
        """
        length_us = piece.to_us - piece.from_us
        if overlap_us > _OVERLAP_FACTOR * (length_us // 2):
            self._alone_us, length_us = piece.from_us, length_us + overlap_us
        self._longest_us = length_us // 2
        if refusal.limit_bytes is not None:
            self._aim_bytes = _AIM_SHARE * refusal.limit_bytes
        elif self._largest_bytes:
            self._aim_bytes = self._largest_bytes
        else:
            self._aim_bytes = _AIM_SHARE * _USUAL_LIMIT_BYTES
        if refusal.size_bytes is not None:
            self.total_bytes = self.total_bytes or refusal.size_bytes
        if refusal.longest_s is not None and refusal.longest_s > 0:
            aimed_us = int(_AIM_SHARE * refusal.longest_s * US_PER_SECOND)
            self._longest_us = min(self._longest_us, max(aimed_us, _SHORT_US))
        if self._longest_us < _SHORTEST_PIECE_US:
            raise refusal

    def received(self, size_bytes: int, length_us: int) -> None:
        """Choose the length of the next piece by the size of this one: the bit rate of a clip may vary."""
        self._largest_bytes = max(self._largest_bytes, size_bytes)
        if not self.total_bytes:
            self.total_bytes = size_bytes * (self._requested.to_us - self._requested.from_us) // length_us
        if self._aim_bytes is not None:
            aimed_us = int(length_us * self._aim_bytes / size_bytes)
            self._longest_us = max(length_us // 2, min(aimed_us, 2 * length_us), min(length_us, _SHORT_US))

    def absent(self) -> None:
        """Nothing is stored where the last piece was: the next one is twice as long."""
        self._longest_us *= 2
