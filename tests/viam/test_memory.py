"""Garbage collection and memory of the process."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from videostore.viam.memory import _RETURN_AFTER_S, MemoryReturn

PROGRAM = """
import gc
from videostore.viam.memory import reduce_garbage_collections
before = len(gc.get_objects())
reduce_garbage_collections()
assert gc.isenabled()
print(before, gc.get_freeze_count(), len(gc.get_objects()))
"""
LATER = """
import gc
from videostore.viam.memory import exempt_imports
before = gc.get_freeze_count()
with exempt_imports():
    made, enabled = [[] for _ in range(100)], gc.isenabled()
assert gc.isenabled()
print(int(enabled), gc.get_freeze_count() - before)
"""


class Node:
    """An object that refers to itself, so that only the garbage collector frees it."""

    def __init__(self) -> None:
        self.itself = self


class LoopTime:
    """The time of the running loop, which stands still until a test lets it pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._now_s = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self._now_s)

    async def passes(self, seconds: float) -> None:
        """Let the loop call what is due after so long."""
        self._now_s += seconds
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Python collects no garbage by itself."""
    gc.disable()
    yield
    gc.enable()


def test_the_objects_of_the_imports_are_exempt_from_garbage_collection() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, frozen, left = map(int, result.stdout.split())
    assert frozen > 0.9 * before > 10_000 and left < 100


def test_later_imports_are_exempt_too() -> None:
    result = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=True)
    enabled, frozen = map(int, result.stdout.split())
    assert not enabled and frozen >= 100


async def test_memory_is_returned_a_moment_after_the_last_large_response(
    no_collections: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage, memory, time = weakref.ref(Node()), MemoryReturn(), LoopTime(monkeypatch)
    for _ in range(3):
        memory.schedule()
        await time.passes(0.9 * _RETURN_AFTER_S)
        assert garbage() is not None
    await time.passes(0.2 * _RETURN_AFTER_S)
    assert garbage() is None


async def test_a_cancelled_return_does_not_happen(no_collections: None, monkeypatch: pytest.MonkeyPatch) -> None:
    garbage, memory, time = weakref.ref(Node()), MemoryReturn(), LoopTime(monkeypatch)
    memory.schedule()
    memory.cancel()
    memory.cancel()
    await time.passes(2 * _RETURN_AFTER_S)
    assert garbage() is not None
