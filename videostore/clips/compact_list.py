"""A list for tens of thousands of values, which stops no other thread: not while it is collected, and not when it ends.

A range may have 100,000 segments. As objects, those of its plan are a million that each garbage collection visits, and
that one release of the list frees, in one piece: 60 to 230 ms in which the event loop cannot run. Here they are bytes.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

_T = TypeVar("_T")

BLOCK = 250
"""Values that are packed together: a few milliseconds of work at a time. Fewer than that stay as they are."""


class _Compared(Sequence[_T]):
    """A sequence that equals every other one of the same values."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


class CompactList(_Compared[_T]):
    """Values that can be pickled, which must not change. Those that are taken out are equal to those that were put in,
    but need not be the same objects.

    To be used in threads where it may be long: packing and unpacking takes a few microseconds for each value.
    """

    def __init__(self, values: Iterable[_T] = ()) -> None:
        self._blocks: list[bytes] = []
        self._last: list[_T] = []
        self._unpacked: tuple[int, list[_T]] = (-1, [])
        """The block that was used last, and its number."""
        self.extend(values)

    def append(self, value: _T) -> None:
        """Add a value at the end."""
        self._last.append(value)
        if len(self._last) == BLOCK:
            self._blocks.append(pickle.dumps(self._last, pickle.HIGHEST_PROTOCOL))
            self._last = []

    def extend(self, values: Iterable[_T]) -> None:
        """Add values at the end."""
        for value in values:
            self.append(value)

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK + len(self._last)

    def __iter__(self) -> Iterator[_T]:
        return self.between(0, len(self))

    @overload
    def __getitem__(self, place: int) -> _T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[_T]: ...
    def __getitem__(self, place: int | slice) -> _T | Sequence[_T]:
        if isinstance(place, slice):
            return _Stretch(self, range(len(self))[place])
        number, at = divmod(range(len(self))[place], BLOCK)
        known, values = self._unpacked
        if known != number:
            values = self._block(number)
            self._unpacked = (number, values)
        return values[at]

    def between(self, begin: int, end: int) -> Iterator[_T]:
        """The values from one place up to another. None must be added meanwhile."""
        for number in range(begin // BLOCK, -(-end // BLOCK)):
            first = number * BLOCK
            yield from itertools.islice(self._block(number), max(begin - first, 0), end - first)

    def _block(self, number: int) -> list[_T]:
        if number == len(self._blocks):
            return self._last
        values: list[_T] = pickle.loads(self._blocks[number])  # noqa: S301 (this process made it)
        return values


class _Stretch(_Compared[_T]):
    """Part of a compact list, which it does not copy."""

    def __init__(self, whole: CompactList[_T], places: range) -> None:
        self._whole = whole
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[_T]:
        if self._places.step != 1:
            return (self._whole[place] for place in self._places)
        return self._whole.between(self._places.start, max(self._places.start, self._places.stop))

    @overload
    def __getitem__(self, place: int) -> _T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[_T]: ...
    def __getitem__(self, place: int | slice) -> _T | Sequence[_T]:
        if isinstance(place, slice):
            return _Stretch(self._whole, self._places[place])
        return self._whole[self._places[place]]
