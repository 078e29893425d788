"""Measures two things in turn, A B A B, so that whatever else the machine does falls on both."""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


async def in_turn(rounds: int, *sides: Callable[[], Awaitable[_T]]) -> tuple[list[_T], ...]:
    """Run each side once a round, in every other round in the reverse order. Returns the results of each side."""
    found: tuple[list[_T], ...] = tuple([] for _ in sides)
    for number in range(rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            found[side].append(await sides[side]())
    return found


def ratio_of(ours: Sequence[float], bare: Sequence[float]) -> float:
    """The median of one side over that of the other."""
    return statistics.median(ours) / statistics.median(bare)


def with_spread(values: Sequence[float], unit: str, decimals: int = 0, scale: float = 1) -> str:
    """The median, the quartiles if there are enough values, else the ends, and the unit: `59 ms [55–63]`."""
    found = sorted(value * scale for value in values)
    low, high = found[0], found[-1]
    if len(found) >= 8:
        low, _, high = statistics.quantiles(found, n=4)
    return f"{statistics.median(found):.{decimals}f} {unit} [{low:.{decimals}f}–{high:.{decimals}f}]"


def milliseconds(seconds: Sequence[float], decimals: int = 0) -> str:
    """Median and spread of seconds."""
    return with_spread(seconds, "ms", decimals, 1000)
