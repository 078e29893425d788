"""The server of one address as a process of its own, so that no viewer and no fault of it costs the recording anything.

It is kept running: one that ends is started again, later each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostore.base.clock import Clock, SystemClock
from videostore.base.constants import CUT_NICENESS, WEB_CHILD
from videostore.base.errors import VideoStoreError, reason_of
from videostore.base.processes import PIPE, start_process
from videostore.base.system import subordinate
from videostore.base.tasks import end_task
from videostore.config import WebConfig
from videostore.ffmpeg.message_limit import MessageLimit
from videostore.recording.backoff import Backoff
from videostore.viam.web_requests import Marker, answer
from videostore.web.control import (
    ADD,
    ASK,
    MOST_LINE_BYTES,
    REMOVE,
    SERVING,
    STATUS,
    TROUBLE,
    read_log,
    read_message,
    write_message,
    write_serve,
)

_STATUS_S = 2.0
_BEHIND_BYTES = 256 * 1024
"""A server that has not read so much gets no more statuses."""
_SILENT_STATUSES = 10
"""A server that answers so many statuses with nothing, 20 s, is stuck, and is ended."""
_START_S = 120.0
"""It says nothing until it runs, which takes long on a busy machine."""
_SILENT = "it did not answer"
_FAULT = "a fault in the module ({}), of which the log has more"
_MOST_ASKED = 16
"""It asks for no more at once."""
_END_S = 1.0
"""It ends within this time after its input did, out of the module's 3 s."""


@dataclass(frozen=True, slots=True)
class ShownRecorder:
    """A recorder as the server shows it."""

    name: str
    directory: Path
    upload_path: Path | None
    """Where clips for upload go; None if nothing is uploaded."""
    limit_bytes: int
    """Its quota."""
    status: Callable[[], Mapping[str, Any]]
    """What it says of itself. Called every two seconds, on the loop."""
    marker: Marker | None = None
    """What notes its events; None if the page cannot mark it."""
    min_free_gb: float | None = None
    """What it keeps free on its disk, as configured."""


def child_command() -> list[str]:
    """What starts this program as the server of a module; the frozen program is its own interpreter."""
    return [sys.executable, *([] if getattr(sys, "frozen", False) else ["-m", "videostore"]), WEB_CHILD]


class WebProcess:
    """Keeps the server of a config running, from `start` to `close`."""

    def __init__(
        self,
        web: WebConfig,
        logger: logging.Logger,
        *,
        command: Sequence[str] | None = None,
        clock: Clock | None = None,
        status_s: float = _STATUS_S,
    ) -> None:
        self.web = web
        self.url: str | None = None
        """Where it serves; None while it does not."""
        self.trouble: str | None = None
        """Why it does not serve, as a sentence; None while it does, or starts."""
        self._logger = logger
        self._limit = MessageLimit()
        self._command = child_command() if command is None else list(command)
        self._clock = clock or SystemClock()
        self._status_s = status_s
        self._recorders: dict[str, ShownRecorder] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._unanswered = 0
        self._is_heard = False
        self._answering: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the process, and keep it running."""
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the process."""
        if self._keeping is not None:
            await end_task(self._keeping, _END_S + 1)

    def show(self, recorder: ShownRecorder) -> None:
        """Show a recorder from now on."""
        self._recorders[recorder.name] = recorder
        self._send(self._added(recorder))

    def hide(self, name: str) -> None:
        """Show a recorder no more."""
        if self._recorders.pop(name, None) is not None:
            self._send(write_message(REMOVE, name=name))

    @property
    def process_id(self) -> int | None:
        """The process that runs at the moment; None if none does."""
        return None if self._process is None else self._process.pid

    def _added(self, recorder: ShownRecorder) -> bytes:
        upload = None if recorder.upload_path is None else str(recorder.upload_path)
        return write_message(ADD, name=recorder.name, directory=str(recorder.directory), upload_path=upload)

    def _send(self, line: bytes) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(line)

    async def _keep(self) -> None:
        backoff = Backoff(self._clock)
        while True:
            began_us = self._clock.monotonic_us()
            reason = await self._run()
            self.url = None
            backoff.healthy_for(self._clock.monotonic_us() - began_us)
            backoff.lengthen()
            self.trouble = str(VideoStoreError("web-ended", address=self.web.address, reason=reason))
            self._logger.warning("%s", self.trouble)
            await backoff.wait()

    async def _run(self) -> str:
        """Run the process once. Returns why it ended."""
        try:
            process = await start_process(
                subordinate(self._command, CUT_NICENESS), stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=MOST_LINE_BYTES
            )
        except OSError as error:
            return reason_of(error)
        self._process = process
        self._unanswered, self._is_heard = 0, False
        self._send(write_serve(self.web))
        for recorder in self._recorders.values():
            self._send(self._added(recorder))
        tasks = [asyncio.create_task(work) for work in (self._listen(process), self._log(process), self._feed(process))]
        try:
            if (fault := await self._ended(process, tasks)) is not None:
                return fault
            return _SILENT if self._is_silent else f"exit code {process.returncode}"
        finally:
            self._process = None
            for task in [*tasks, *self._answering]:
                await end_task(task)
            await _end(process)

    async def _ended(self, process: asyncio.subprocess.Process, tasks: Sequence[asyncio.Task[None]]) -> str | None:
        """Wait until the process has ended, or one of its tasks has failed, without which it is of no use. Returns the
        fault then."""
        waiting = asyncio.ensure_future(process.wait())
        running: set[asyncio.Future[Any]] = {waiting, *tasks}
        try:
            while waiting in running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task is not waiting and (error := task.exception()) is not None:
                        self._logger.error("The web server of %s is ended.", self.web.address, exc_info=error)
                        return _FAULT.format(type(error).__name__)
            return None
        finally:
            await end_task(waiting)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in _lines(process.stdout):
            message = read_message(line)
            if message is None:
                continue
            self._unanswered, self._is_heard = 0, True
            said = str(message.fields.get("text", ""))
            if message.kind == SERVING:
                self.url, self.trouble = said, None
                self._logger.info("The page is at %s.", said)
            elif message.kind == TROUBLE:
                if said != self.trouble:
                    self._logger.error("%s", said)
                self.url, self.trouble = None, said
            elif message.kind == ASK and len(self._answering) < _MOST_ASKED:
                task = asyncio.create_task(self._answer(message.fields))
                self._answering.add(task)
                task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.error("A request of the web server of %s failed.", self.web.address, exc_info=error)

    async def _answer(self, fields: Mapping[str, Any]) -> None:
        name = str(fields["recorder"])
        recorder = self._recorders.get(name)
        self._send(await answer(None if recorder is None else recorder.marker, name, fields, self._logger))

    async def _log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in _lines(process.stderr):
            level, text = read_log(line.decode(errors="replace").rstrip())
            told = self._limit.pass_on(text)
            if told:
                self._logger.log(level, "%s", told)

    async def _feed(self, process: asyncio.subprocess.Process) -> None:
        """Tell it what the recorders say of themselves, and end it if it answers nothing any more."""
        assert process.stdin is not None
        while True:
            # It is counted here, so that a module that was stopped itself does not blame its server.
            self._unanswered += 1
            if self._is_silent:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            if process.stdin.transport.get_write_buffer_size() <= _BEHIND_BYTES:
                self._send(write_message(STATUS, of=self._statuses()))
            await asyncio.sleep(self._status_s)

    @property
    def _is_silent(self) -> bool:
        most = _SILENT_STATUSES if self._is_heard else round(_START_S / self._status_s)
        return self._unanswered > most

    def _statuses(self) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for recorder in self._recorders.values():
            try:
                room = {"limit_bytes": recorder.limit_bytes, "min_free_gb": recorder.min_free_gb}
                found[recorder.name] = {**recorder.status(), **room}
            except Exception:  # a recorder whose status fails must not keep the others from being told
                self._logger.exception("The status of %s failed.", recorder.name)
        return found


async def _lines(stream: asyncio.StreamReader) -> Any:
    """The lines of a stream; one that is too long is left out."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process: it ends by itself when its input does."""
    if process.returncode is not None:
        return
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except asyncio.TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
