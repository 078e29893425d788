"""The fixture that tests of times have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.support.zones import in_zone


@pytest.fixture
def set_zone() -> Iterator[Callable[[str], None]]:
    """Sets the time zone of the process, and restores it at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda rule: stack.enter_context(in_zone(rule))
