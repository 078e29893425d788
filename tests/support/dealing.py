"""In which order the tests run, so that no worker waits for another one at the end."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

import pytest

_WAIT_LONGEST = ("faults", "viam", "invariants")
"""The packages whose tests wait for cameras and processes: others can use the cores meanwhile."""


def deal(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Deal the tests to the workers of xdist, which cuts the list into as many pieces and lets idle workers steal from
    the ends: each piece begins with its share of the tests that wait, and ends with tests that take no time. The tests
    of a file stay together, for they share fixtures."""
    hands: list[list[pytest.Item]] = [[] for _ in range(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))]
    files = [list(file) for _, file in itertools.groupby(items, lambda item: item.path)]
    waiting = [file for file in files if _waits(file[0])]
    for file in sorted(waiting, key=len, reverse=True):
        min(hands, key=len).extend(file)
    others = [item for file in files if not _waits(file[0]) for item in file]
    dealt: list[pytest.Item] = []
    for number, hand in enumerate(hands):
        share = (len(items) - len(dealt)) // (len(hands) - number)
        wanted = max(0, share - len(hand))
        dealt += [*hand, *others[:wanted]]
        del others[:wanted]
    return dealt + others


def _waits(item: pytest.Item) -> bool:
    return any(name in item.path.parts for name in _WAIT_LONGEST)
