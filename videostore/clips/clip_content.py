"""What a clip holds of the range that was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from videostore.base.ranges import MOST_DAMAGED, DamagedRange, Range, damaged_within


@dataclass(frozen=True, slots=True)
class ClipContent:
    """What a clip holds."""

    ranges: tuple[Range, ...] | None
    """Of the range that was asked for; None if it holds all of it."""
    damaged: tuple[DamagedRange, ...] = ()
    """What of it came damaged, or cannot be read; at most `MOST_DAMAGED`."""


class DamageList:
    """Collects what is damaged of a range, however much of it is."""

    def __init__(self, asked: Range) -> None:
        self._asked = asked
        self._found: list[DamagedRange] = []

    def add(self, damaged: Iterable[DamagedRange]) -> None:
        """Take in more."""
        self._found += damaged
        if len(self._found) > 2 * MOST_DAMAGED:
            self._found = list(self.ranges)

    @property
    def ranges(self) -> tuple[DamagedRange, ...]:
        """All of it within the range, sorted; at most `MOST_DAMAGED`."""
        return damaged_within(self._found, self._asked)
