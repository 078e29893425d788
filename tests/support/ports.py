"""Ports for servers that are told theirs before they bind it, or come back on the same one."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import sys

_NUMBERS = range(20_000, 32_000, 2)
"""No system gives these to what asks for any port: Linux gives those from 32768 on, others those from 49152 on."""
_HOST = "127.0.0.1"
_CLAIMED_ON = "127.0.0.2"
"""Where a port stays bound, so that no other test chooses it. macOS has one address only."""
_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)

_claims = contextlib.ExitStack()


def own_port() -> int:
    """A port on 127.0.0.1 that nothing is bound to, and that no other test gets while this process runs.

    It is even, and the one behind it is its own too, as RTCP and RIST use it.
    """
    for number in random.SystemRandom().sample(_NUMBERS, len(_NUMBERS)):
        with contextlib.suppress(OSError), contextlib.ExitStack() as claim:
            if sys.platform != "darwin":
                _bind(claim, _CLAIMED_ON, number)
            with contextlib.ExitStack() as free:
                _bind(free, _HOST, number)
            _claims.push(claim.pop_all())
            return number
    raise AssertionError("no port is free")


def _bind(stack: contextlib.ExitStack, host: str, port: int) -> None:
    for number, kind in itertools.product((port, port + 1), _KINDS):
        stack.enter_context(socket.socket(socket.AF_INET, kind)).bind((host, number))
