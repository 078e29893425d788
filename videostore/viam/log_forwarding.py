"""The module's log, as viam-server gets it: over the loop that owns the connection, and never more than it can take.

The SDK sends log lines from a thread and loop of its own over the connection that belongs to the module's loop. gRPC's
connection is not made for two loops: it breaks, and with it the requests to cameras.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

import viam.logging
from grpclib.exceptions import GRPCError, StreamTerminatedError

from videostore.base.tasks import end_task

MAX_LINES = 1000
"""Lines that wait for viam-server. When there are more, the oldest are dropped and counted."""

MAX_LINE_CHARACTERS = 8192
"""The rest of a longer line, or of its stack, is cut off."""

_SEND_S = 10.0
"""viam-server answers within milliseconds, unless it hangs."""
_RETRY_S = 1.0
_LEVELS = {"CRITICAL": "ERROR"}
"""viam-server knows no level above errors."""
_LOGGER_NAME = __name__.replace(".", "/")


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line of the log, in the form in which viam-server takes it."""

    name: str
    level: str
    time: datetime
    message: str
    stack: str


class LogParent(Protocol):
    """viam-server, as far as it takes log lines; the SDK's `RobotClient` is one."""

    def log(self, name: str, level: str, time: datetime, message: str, stack: str) -> Awaitable[None]:
        """Send one line. viam-server refuses several in one request."""
        ...


class LogForwarder:
    """Sends log lines to viam-server, one after the other. Owns a task from `start` to `close`.

    `put` can be called from any thread, and never waits.
    """

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque()
        self._lock = threading.Lock()
        self._dropped = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def start(self, parent: LogParent) -> None:
        """Begin to send what was put so far, and all that follows, over the loop that runs now. Only once."""
        if self._task is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._send_all(parent))
        self._wake()

    def put(self, entry: LogEntry) -> None:
        """Add a line. If too many wait already, the oldest one is dropped."""
        with self._lock:
            self._entries.append(entry)
            if len(self._entries) > MAX_LINES:
                self._entries.popleft()
                self._dropped += 1
            first = len(self._entries) == 1
        if first and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._wake)

    async def close(self, within_s: float) -> None:
        """Send what still waits, if viam-server takes it in this time, and end the task."""
        task, self._task = self._task, None
        if task is None:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), within_s)
        await end_task(task)

    def _wake(self) -> None:
        self._idle.clear()
        self._more.set()

    async def _send_all(self, parent: LogParent) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while (entry := self._take()) is not None:
                await self._send(parent, entry)
            self._idle.set()

    async def _send(self, parent: LogParent, entry: LogEntry) -> None:
        """Send a line. While viam-server cannot be reached the line waits, and newer ones push out older ones."""
        while True:
            try:
                await asyncio.wait_for(
                    parent.log(entry.name, entry.level, entry.time, entry.message, entry.stack), _SEND_S
                )
            except (StreamTerminatedError, OSError, asyncio.TimeoutError):
                await asyncio.sleep(_RETRY_S)
            except GRPCError:  # it takes no such line: sending it again would not help
                return
            except Exception:  # noqa: BLE001 (whatever is wrong with a line or the connection, the next lines are sent)
                await asyncio.sleep(_RETRY_S)
                return
            else:
                return

    def _take(self) -> LogEntry | None:
        with self._lock:
            if self._dropped:
                count, self._dropped = self._dropped, 0
                text = f"{count} log lines were dropped: viam-server takes them too slowly."
                return LogEntry(_LOGGER_NAME, "WARNING", datetime.now(timezone.utc), text, "")
            return self._entries.popleft() if self._entries else None


class ForwardingHandler(logging.Handler):
    """Puts log records into a `LogForwarder`."""

    def __init__(self, forwarder: LogForwarder) -> None:
        super().__init__()
        self._forwarder = forwarder

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record, whichever thread made it."""
        try:
            self._forwarder.put(_entry(record))
        except Exception:  # noqa: BLE001 (a record that cannot be formatted must not end what logs it)
            self.handleError(record)


def forward_logs(forwarder: LogForwarder) -> Callable[[], None]:
    """Let the SDK's loggers, and those that it makes from now on, put their records into a forwarder.

    Returns a function that undoes it.
    """
    before = viam.logging._ModuleHandler

    def make(_: object) -> logging.Handler:
        return ForwardingHandler(forwarder)

    def undo() -> None:
        viam.logging._ModuleHandler = before  # type: ignore[misc]

    viam.logging._ModuleHandler = make  # type: ignore[misc,assignment]
    return undo


def _entry(record: logging.LogRecord) -> LogEntry:
    stack = record.stack_info or ""
    if record.exc_info and record.exc_info[0] is not None:
        stack = "".join(traceback.format_exception(*record.exc_info)) + stack
    # viam-server shows the file and the line as the SDK's modules send them.
    message = f"{record.filename}:{record.lineno}\t{record.getMessage()}"
    return LogEntry(
        record.name.replace(".", "/"),
        _LEVELS.get(record.levelname, record.levelname),
        datetime.fromtimestamp(record.created, timezone.utc),
        _line(message),
        _line(stack),
    )


def _line(text: str) -> str:
    """As much as is sent. Names of files may have characters that no message can carry."""
    return text[:MAX_LINE_CHARACTERS].encode(errors="backslashreplace").decode()
