"""What tests of a remote machine check: the sentences of its errors, and that no connection is left open."""

from __future__ import annotations

import asyncio
import time

import pytest

from scripts.fakes.machine import MachineServer


def assert_sentence(error: pytest.ExceptionInfo[Exception], *words: str) -> None:
    """An error is one plain sentence with these words in it."""
    message = str(error.value)
    for word in words:
        assert word in message, message
    assert "\n" not in message and message.endswith((".", "?")), message
    assert not any(noise in message for noise in ("Error(", "Errno", "None", "  ", "..")), message


async def until_closed(server: MachineServer) -> None:
    """Wait until the server has no open connection."""
    deadline = time.monotonic() + 150
    while server.connections:
        assert time.monotonic() < deadline, "a connection was left open"
        await asyncio.sleep(0.01)
