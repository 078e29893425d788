"""The time within which a module ends that is told to: viam-server kills it soon after."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import psutil

from tests.support.lateness import watching_lateness
from tests.support.machine import US, Machine

ENDS_WITHIN_S = 3.0
"""What the module promises. A busy machine wakes it, and the test that measures it, late."""


async def assert_terminates_in_time(machine: Machine) -> None:
    """Send SIGTERM to the module, as viam-server does."""
    async with watching_lateness() as late:
        took_s = await machine.parent.terminate()
        assert took_s < ENDS_WITHIN_S + 4 * late.us / US


async def assert_ended_in_time(processes: Sequence[psutil.Process], end: Callable[[], object]) -> None:
    """Call `end`, and see these processes end by that."""
    async with watching_lateness() as late:
        end()
        began = time.monotonic()
        while alive := [one for one in processes if _runs(one)]:
            assert time.monotonic() - began < ENDS_WITHIN_S + 4 * late.us / US, alive
            await asyncio.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
