"""The ffmpeg that joins a clip, started before its pieces are there, because loading it takes as long as copying them.

It gets the list of the pieces at its standard input. If it turns out that the clip needs other arguments than those
with which it was started, it is ended, and another one makes the clip.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType

from videostore.base.errors import FFmpegError, VideoStoreError
from videostore.base.tasks import end_task
from videostore.clips.cut_command import CutCommand
from videostore.ffmpeg.late_input import LateInput

Expect = Callable[[], Awaitable[CutCommand | None]]
"""Tells which command is expected, if any."""
RunLate = Callable[[CutCommand, list[str], LateInput], contextlib.AbstractAsyncContextManager[asyncio.StreamReader]]
"""Runs a command that gets its list later. What ffmpeg complains of is appended to the list of strings."""


class _GivenUpError(Exception):
    """An ffmpeg was started early for nothing."""


class EarlyJoin:
    """Owns one such ffmpeg at a time."""

    def __init__(self, run: RunLate) -> None:
        self._run = run
        self._running = contextlib.AsyncExitStack()
        self._list = LateInput()
        self._arguments: tuple[str, ...] = ()
        self._output: asyncio.StreamReader | None = None
        self._loading: asyncio.Task[None] | None = None
        self.complaints: list[str] = []
        """What it complained of."""

    @property
    def started(self) -> bool:
        """Whether one waits for its list."""
        return self._output is not None

    @contextlib.asynccontextmanager
    async def loading(self, expect: Expect) -> AsyncIterator[None]:
        """Load it meanwhile, if something is expected. It is ended with the context."""
        self._loading = asyncio.create_task(self._load(expect))
        try:
            yield
        finally:
            if self._loading is not None:
                await end_task(self._loading)
            await self.give_up()

    async def _load(self, expect: Expect) -> None:
        with contextlib.suppress(FFmpegError):  # the one that is started instead tells why
            if (command := await expect()) is not None:
                await self.start(command)

    async def loaded(self) -> None:
        """Wait until it was started, if it is to be."""
        loading, self._loading = self._loading, None
        if loading is not None:
            try:
                await asyncio.wait([loading])
            finally:
                await end_task(loading)
            loading.result()

    async def start(self, command: CutCommand) -> None:
        """Start one with the arguments of a command, unless it has them already.

        Raises:
            FFmpegError: it cannot be started.
        """
        if self.started and command.arguments == self._arguments:
            return
        await self.give_up()
        self._arguments, self._list, self.complaints = command.arguments, LateInput(), []
        self._output = await self._running.enter_async_context(self._run(command, self.complaints, self._list))

    async def output(self, command: CutCommand) -> asyncio.StreamReader | None:
        """Let it carry out a command, or another one that is started for that; None if the command has a list already.

        Raises:
            FFmpegError: it cannot be started.
        """
        if command.late is None:
            await self.give_up()
            return None
        await self.start(command)
        self._list.give(command.late.encode())
        return self._output

    async def __aenter__(self) -> EarlyJoin:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until it has ended by itself, or end it if there is an error.

        Raises:
            FFmpegError: it failed.
        """
        self._output = None
        await self._running.__aexit__(kind, error, trace)

    async def give_up(self) -> None:
        """End it, if it runs."""
        self._output = None
        error = _GivenUpError()
        with contextlib.suppress(VideoStoreError):
            await self._running.__aexit__(_GivenUpError, error, None)
