"""Standard output as a pipe of bytes, which is written without blocking."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

from videostore.base.errors import reason_of
from videostore.cli.output import OutputError

PIPE = "-"
"""The name of standard output."""


@contextlib.contextmanager
def nonblocking(descriptor: int) -> Iterator[int]:
    """Make a descriptor non-blocking, so that a signal is handled even if nothing reads from the pipe."""
    blocking = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    try:
        yield descriptor
    finally:
        os.set_blocking(descriptor, blocking)


async def write(descriptor: int, block: bytes) -> None:
    """Write all of a block to a descriptor that is non-blocking.

    Raises:
        BrokenPipeError: the reader has stopped.
        OutputError: it cannot be written.
    """
    left = memoryview(block)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            await _wait_until_writable(descriptor)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError("output-failed", reason=reason_of(error)) from error


async def _wait_until_writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
