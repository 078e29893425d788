"""How much of a kind the tests try: some in every run, all of it where `make test-exhaustive` asks for it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

import pytest

EXHAUSTIVE = os.environ.get("VIDEOSTORE_TESTS") == "exhaustive"
# A test that tries more of its kind in an exhaustive run, by `at_most`.
cut_short = pytest.mark.cut_short


def at_most(exhaustive: int, usual: int) -> int:
    """How many of a kind a test tries that is marked as `cut_short`."""
    return exhaustive if EXHAUSTIVE else usual


def some(argument: str | tuple[str, ...], values: Sequence[Any], usual: int) -> pytest.MarkDecorator:
    """A parameter, or several, with the first `usual` of the values, and with the others in an exhaustive run."""
    tuples = [(one,) for one in values] if isinstance(argument, str) else values
    return pytest.mark.parametrize(argument, [_param(one, number < usual) for number, one in enumerate(tuples)])


def some_combinations(**values: Sequence[Any]) -> pytest.MarkDecorator:
    """Parameters in every other combination, so that each value is there, and in the others in an exhaustive run."""
    combinations = itertools.product(*(enumerate(some) for some in values.values()))
    params = [
        _param([value for _, value in one], sum(number for number, _ in one) % 2 == 0)
        for one in map(list, combinations)
    ]
    return pytest.mark.parametrize(tuple(values), params)


def each_value(**values: Sequence[Any]) -> pytest.MarkDecorator:
    """Parameters in as few combinations as have each value, and in the others in an exhaustive run."""
    counts = [len(some) for some in values.values()]
    # Every second one is shifted at each turn, so that two values do not always come together.
    usual = [
        [(turn + turn // count * (place % 2)) % count for place, count in enumerate(counts)]
        for turn in range(max(counts))
    ]
    combinations = itertools.product(*(enumerate(some) for some in values.values()))
    params = [
        _param([value for _, value in one], [number for number, _ in one] in usual) for one in map(list, combinations)
    ]
    return pytest.mark.parametrize(tuple(values), params)


def _param(values: Sequence[Any], usual: bool) -> Any:
    return pytest.param(*values, marks=() if usual else pytest.mark.exhaustive)
