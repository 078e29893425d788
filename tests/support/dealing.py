"""In which order the tests run, so that the cores are busy all the time and no worker waits for another one at the
end."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

import pytest

_WAIT_LONGEST = ("faults", "viam", "invariants")
"""The packages whose tests wait for cameras and processes: others can use the cores meanwhile."""
_FIRST = ("test_disk_in_user_space.py", "test_frozen_disk.py", "test_video_service.py", "test_true_time.py")
"""Of these the files that wait for minutes: begun late, they would run on when all others are done. And those whose
tests share a recording of many seconds: idle workers would steal some of these tests, and each make the recording."""
_WAITED = 0.6
"""Which part of its tests a worker has begun when it begins the last file that waits. Simulated with the times of the
tests: 0.5 to 0.8 are alike, and without mixing two cores are idle for a quarter of the time."""


def deal(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Deal the tests to the workers of xdist, which cuts the list into as many pieces and lets idle workers steal from
    the ends: each piece has its share of the tests that wait, with others between them, and ends with others. The tests
    of a file stay together, for they share fixtures."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files = [list(file) for _, file in itertools.groupby(items, lambda item: item.path)]
    waiting: list[list[list[pytest.Item]]] = [[] for _ in range(number)]
    for file in sorted((file for file in files if _waits(file[0])), key=_rank, reverse=True):
        min(waiting, key=_count).append(file)
    others = [file for file in files if not _waits(file[0])]
    dealt: list[pytest.Item] = []
    for place, hand in enumerate(waiting):
        share = (len(items) - len(dealt)) / (number - place) - _count(hand)
        between: list[list[pytest.Item]] = []
        while others and (place == number - 1 or _count(between) + len(others[0]) / 2 <= share):
            between.append(others.pop(0))
        dealt += itertools.chain.from_iterable(_mixed(hand, between))
    return dealt


def _mixed(waiting: list[list[pytest.Item]], others: list[list[pytest.Item]]) -> list[list[pytest.Item]]:
    """Both at even distances, those that wait in the first part."""
    placed = [((number + 0.5) / len(waiting) * _WAITED, file) for number, file in enumerate(waiting)]
    placed += [((number + 0.5) / len(others), file) for number, file in enumerate(others)]
    return [file for _, file in sorted(placed, key=lambda one: one[0])]


def _rank(file: list[pytest.Item]) -> tuple[bool, int]:
    return file[0].path.name in _FIRST, len(file)


def _count(files: list[list[pytest.Item]]) -> int:
    return sum(map(len, files))


def _waits(item: pytest.Item) -> bool:
    return any(name in item.path.parts for name in _WAIT_LONGEST)
