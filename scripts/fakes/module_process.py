"""One process of the module as viam-server starts it: in its own process group, with a gRPC channel to its socket.

It owns the process, everything that the process started, its output and the channel.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil
from grpclib.client import Channel
from grpclib.events import RecvMessage, listen
from typing_extensions import Self
from viam.proto.module import ModuleServiceStub, ReadyRequest

from scripts.fakes.viam_services import refuse_large_message, windows

ROOT = Path(__file__).resolve().parents[2]
MARK = "VIAM_PARENT_SOCKET"
"""Environment variable that marks the module's processes, so that leftover ones can be found."""
# Far above any line that a module prints. asyncio's default of 64 KiB would end the reading.
LINE_LIMIT_BYTES = 1 << 20


class StartedProcess(Protocol):
    """What is used of an `asyncio.subprocess.Process`."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    @property
    def stdout(self) -> asyncio.StreamReader | None: ...
    @property
    def stderr(self) -> asyncio.StreamReader | None: ...
    async def wait(self) -> int: ...
    def kill(self) -> None: ...


StartProcess = Callable[[Sequence[str], Mapping[str, str]], Awaitable[StartedProcess]]
"""Starts a command with an environment in a session of its own, in the repository."""


async def start_in_session(command: Sequence[str], env: Mapping[str, str]) -> StartedProcess:
    """Start it as viam-server does."""
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=LINE_LIMIT_BYTES,
    )


class ModuleProcess:
    """A module process. `start` starts it, `connect` waits until it is ready, `kill` and `close` end everything."""

    def __init__(self, process: StartedProcess, socket: Path, parent_socket: Path) -> None:
        self.process = process
        self.socket = socket
        self.channel: Channel | None = None
        self._parent_socket = parent_socket
        self._readers: list[asyncio.Task[None]] = []
        self._seen: set[psutil.Process] = set()

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        socket: Path,
        parent_socket: Path,
        env: Mapping[str, str],
        output: list[str],
        start_process: StartProcess | None = None,
    ) -> Self:
        """Start the command in the repository. What it prints is added to `output`, line by line."""
        start_process = start_process or start_in_session
        process = await start_process(command, {**os.environ, **env, MARK: str(parent_socket)})
        assert process.stdout is not None and process.stderr is not None
        started = cls(process, socket, parent_socket)
        for stream in (process.stdout, process.stderr):
            started._readers.append(asyncio.create_task(_read_lines(stream, output)))
        return started

    async def connect(self) -> list[str]:
        """Wait for the module's socket and send Ready. Returns the models that it serves.

        Raises ConnectionError if the module ends or is not ready, and what gRPC raises.
        """
        while not self.socket.exists():
            if self.process.returncode is not None:
                await asyncio.wait(self._readers, timeout=1)
                raise ConnectionError(f"it ended with exit code {self.process.returncode}")
            await asyncio.sleep(0.02)
        self.channel = Channel(path=str(self.socket), config=windows())
        listen(self.channel, RecvMessage, refuse_large_message)
        while True:
            try:
                response = await ModuleServiceStub(self.channel).Ready(
                    ReadyRequest(parent_address=str(self._parent_socket))
                )
                break
            except ConnectionRefusedError:  # the socket file exists a moment before the module listens
                await asyncio.sleep(0.02)
        if not response.ready:
            raise ConnectionError("it says that it is not ready")
        return sorted({model for handler in response.handlermap.handlers for model in handler.models})

    def children(self) -> list[psutil.Process]:
        """The running processes that the module started, and their children."""
        if self.process.returncode is not None:
            return []
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self._seen.update(children)
        return [child for child in children if _runs(child)]

    def leftovers(self) -> list[psutil.Process]:
        """The processes that still run although the module that started them has ended."""
        if self.process.returncode is None:
            return []
        return [process for process in {*self._marked(), *self._seen} if _runs(process)]

    async def terminate(self, timeout: float) -> float:
        """Send SIGTERM to the process group, as viam-server does. Returns the seconds until the module has ended.

        Raises asyncio.TimeoutError if the module still runs after `timeout` seconds. Leftover processes are not ended.
        """
        self.children()
        began = time.monotonic()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), timeout)
        return time.monotonic() - began

    async def kill(self) -> None:
        """Kill the module and everything that it started, and wait until all of it has ended."""
        victims = self.children()
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        _kill_all(victims)
        await self.process.wait()
        left = self.leftovers()
        _kill_all(left)
        await asyncio.to_thread(psutil.wait_procs, [*victims, *left], 5)

    async def close(self) -> None:
        """Close the channel, stop reading the output and remove the socket. The process must have ended."""
        if self.channel is not None:
            self.channel.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self.socket.unlink(missing_ok=True)

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == str(self._parent_socket):
                    yield process


async def _read_lines(stream: asyncio.StreamReader, output: list[str]) -> None:
    while line := await stream.readline():
        output.append(line.decode(errors="replace").rstrip("\n"))


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill_all(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
