"""The module as a process that need not import it first: forked from one that has."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping, Sequence

from scripts.fakes.module_process import LINE_LIMIT_BYTES, ROOT, StartedProcess, start_in_session
from tests.support.warm_program import STATUS, can_run_warm, start_warm

_INTERPRETER = 3
"""Python, `-m` and `videostore`."""


class WarmModule:
    """The process, which its keeper waits for: what is used of an `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        """Wait until it has ended. Returns its exit code."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """Send SIGKILL to it."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    async def watch(self, keeper: socket.socket) -> None:
        """Note its end, which the keeper tells."""
        with keeper:
            told = await _received(keeper)
            self.returncode = told if told is not None else -signal.SIGKILL
            self._ended.set()


_watching: set[asyncio.Task[None]] = set()


async def start_warm_module(command: Sequence[str], env: Mapping[str, str]) -> StartedProcess:
    """Start `python -m videostore …`. Python is started for it only if the environment says how."""
    if not can_run_warm(env):
        return await start_in_session(command, env)
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    streams = (os.open(os.devnull, os.O_RDONLY), to_out, to_err)
    keeper = await asyncio.to_thread(
        start_warm, command[_INTERPRETER:], streams, cwd=ROOT, env=env, kind="module", session=True
    )
    keeper.setblocking(False)
    pid = await _received(keeper)
    assert pid is not None
    module = WarmModule(pid, await _reader(out), await _reader(err))
    task = asyncio.create_task(module.watch(keeper))
    _watching.add(task)
    task.add_done_callback(_watching.discard)
    return module


async def _received(keeper: socket.socket) -> int | None:
    """The next number that it tells; None if it has ended without telling one."""
    received = b""
    while len(received) < STATUS.size:
        block = await asyncio.get_running_loop().sock_recv(keeper, STATUS.size - len(received))
        if not block:
            return None
        received += block
    return int(STATUS.unpack(received)[0])


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    return reader
