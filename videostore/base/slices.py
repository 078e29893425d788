"""Long work on the event loop, done in slices between which the loop does its other work.

A thread would not help: it and the loop would take turns of 5 ms, and the loop needs many turns for each frame.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

_A = TypeVar("_A")
_B = TypeVar("_B")

SLICE_S = 0.005
"""The loop stands still for about this long, a tenth of what a camera with 20 frames a second notices."""
_LOOK_EACH = 50


async def map_in_slices(function: Callable[[_A], _B], items: Iterable[_A]) -> list[_B]:
    """Apply a quick function to many items."""
    results: list[_B] = []
    until = time.perf_counter() + SLICE_S
    for number, item in enumerate(items):
        results.append(function(item))
        if number % _LOOK_EACH == 0 and time.perf_counter() > until:
            await asyncio.sleep(0)
            until = time.perf_counter() + SLICE_S
    return results
