from __future__ import annotations

import asyncio
import os

import pytest

from videostore.cli.output import OutputError
from videostore.cli.pipe import nonblocking, write


async def test_a_block_larger_than_a_pipe_is_written_while_it_is_read() -> None:
    reading, writing = os.pipe()
    block = os.urandom(1 << 20)
    with nonblocking(writing) as descriptor:
        task = asyncio.ensure_future(write(descriptor, block))
        found = b""
        while len(found) < len(block):
            found += await asyncio.to_thread(os.read, reading, 1 << 16)
        await task
    assert found == block and os.get_blocking(writing)
    os.close(reading)
    with nonblocking(writing) as descriptor, pytest.raises(BrokenPipeError):
        await write(descriptor, block)
    os.close(writing)


async def test_what_cannot_be_written_is_an_error_for_the_user() -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(OutputError):
        await write(descriptor, b"clip")
    os.close(descriptor)
