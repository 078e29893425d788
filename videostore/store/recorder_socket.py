"""Lets other programs of this machine ask the recorder of a directory: to mark a moment, to forget an event, and how it
is.

It listens at an abstract Unix socket, which is named by the path of the directory, is no file there, and ends with its
process. Each side looks at who the other is, since every user of the machine can take such a name. Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from videostore.base.constants import US_PER_SECOND
from videostore.base.error_fields import describe_error, described_error
from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.base.tasks import off_loop
from videostore.storage.notes import Event
from videostore.store.results import Health

MARK, UNMARK, STATUS = "mark", "unmark", "status"
_MOST_BYTES = 1 << 18
"""Of a request or an answer, which is one line. The longest metadata takes 96 KiB, if each of its bytes is escaped."""
_ERROR_BYTES = 4096
"""Of the fields of an error."""
_MOST_CONNECTIONS = 16
_ASK_WITHIN_S = 5.0
"""A client that sends no request in this time does not get an answer."""
_ANSWER_WITHIN_S = 30.0
"""The recorder answers at once, unless its disk is slow."""
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group of the other side, as Linux tells them."""
_ROOT = 0
_T = TypeVar("_T")


class Marker(Protocol):
    """What notes the events of a recorder: its `VideoStore`."""

    async def mark(
        self,
        label: str,
        at: Any = "now",
        *,
        before_s: float = ...,
        after_s: float = ...,
        keep: bool = ...,
        save: bool = ...,
        metadata: str | None = ...,
        tags: Sequence[str] = ...,
    ) -> Event:
        """Note an event. Raises VideoStoreError."""
        ...

    async def unmark(self, id: int, *, release: bool = ..., cancel_save: bool = ...) -> str | None:
        """Forget an event. Returns the name of its clip. Raises VideoStoreError."""
        ...

    def health(self) -> Health:
        """Whether it records, or why not. Raises VideoStoreError."""
        ...


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """What a recorder says of itself."""

    recording: bool
    reason: str
    """Why it does not record; empty if it does."""


class RecorderSocket:
    """Answers for one recorder. Owns a task for each connection until `close`."""

    def __init__(self, marker: Marker, logger: logging.Logger) -> None:
        """Use `open`."""
        self._marker = marker
        self._logger = logger
        self._server: asyncio.AbstractServer | None = None
        self._answering: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(cls, directory: Path, marker: Marker, logger: logging.Logger) -> RecorderSocket:
        """Listen for a directory. Where that is not possible, nothing is answered, and recording goes on."""
        opened = cls(marker, logger)
        try:
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with contextlib.ExitStack() as stack:
                stack.callback(listening.close)
                listening.bind(await off_loop(_name_of, directory))
                opened._server = await asyncio.start_unix_server(opened._answer, sock=listening, limit=_MOST_BYTES)
                stack.pop_all()
        except OSError as error:
            logger.debug("Nothing can be asked through a socket: %s.", reason_of(error))
        return opened

    async def close(self) -> None:
        """Listen no more, and end what is being answered."""
        if self._server is not None:
            self._server.close()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            if len(self._answering) <= _MOST_CONNECTIONS and _user_of(writer) in (os.geteuid(), _ROOT):
                line = await asyncio.wait_for(reader.readline(), _ASK_WITHIN_S)
                writer.write(json.dumps(await self._do(line)).encode() + b"\n")
                await asyncio.wait_for(writer.drain(), _ASK_WITHIN_S)
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            self._logger.debug("A request through the socket was not answered: %s.", reason_of(error))
        finally:
            self._answering.discard(task)
            writer.close()

    async def _do(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            if asked["what"] == MARK:
                return {"found": asdict(await self._marker.mark(**_fields(asked, _MARK_FIELDS)))}
            if asked["what"] == UNMARK:
                return {"found": {"file_name": await self._marker.unmark(**_fields(asked, _UNMARK_FIELDS))}}
            if asked["what"] == STATUS:
                recorder = self._marker.health().recorder
                return {"found": {"recording": recorder.recording, "reason": recorder.reason} if recorder else {}}
            raise ValueError("it asks for something else")
        except VideoStoreError as error:
            return {"refused": describe_error(error, _ERROR_BYTES)}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError("it is no request") from error


_MARK_FIELDS = {
    "label": str,
    "at": int,
    "before_s": (int, float),
    "after_s": (int, float),
    "keep": bool,
    "save": bool,
    "metadata": (str, type(None)),
    "tags": list,
}
_UNMARK_FIELDS = {"id": int, "release": bool, "cancel_save": bool}


def _fields(asked: Mapping[str, Any], kinds: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: asked[name] for name in kinds}
    if not all(isinstance(value, kinds[name]) for name, value in fields.items()):
        raise TypeError("a field has the wrong type")
    return fields


async def ask_mark(
    directory: Path, event: Event, *, save: bool, metadata: str | None = None, tags: Sequence[str] = ()
) -> Event:
    """Have the recorder of a directory mark a moment. Returns the event with its number.

    Raises:
        RequestError: no recorder answers (`mark-while-recording`), or it refuses.
        VideoStoreError: it cannot note the event.
    """
    before_s, after_s = (event.at_us - event.from_us) / US_PER_SECOND, (event.to_us - event.at_us) / US_PER_SECOND
    fields = {"at": event.at_us, "label": event.label, "before_s": before_s, "after_s": after_s, "keep": event.keep}
    saved = {"save": save, "metadata": metadata, "tags": list(tags)}
    return await _ask(directory, {"what": MARK, **fields, **saved}, lambda found: Event(**found))


async def ask_unmark(directory: Path, id: int, *, release: bool, cancel_save: bool = False) -> str | None:
    """Have the recorder of a directory forget an event. Returns the name of the clip that is saved of it, if any.

    Raises:
        RequestError: as `ask_mark`, or there is no such event.
        VideoStoreError: it cannot be noted.
    """
    fields = {"what": UNMARK, "id": id, "release": release, "cancel_save": cancel_save}
    found: str | None = await _ask(directory, fields, lambda found: found["file_name"])
    return found


async def ask_status(directory: Path) -> RecorderStatus | None:
    """Whether the recorder of a directory records; None if that does not answer here."""
    try:
        return await _ask(directory, {"what": STATUS}, lambda found: RecorderStatus(**found))
    except VideoStoreError:
        return None


async def _ask(directory: Path, request: Mapping[str, Any], read: Callable[[Any], _T]) -> _T:
    asked = json.dumps(request).encode() + b"\n"
    if len(asked) > _MOST_BYTES:  # only many tags can be so long
        raise RequestError("field-too-long", field="tags", size_bytes=len(asked), limit_bytes=_MOST_BYTES)
    try:
        line = await asyncio.wait_for(_send(directory, asked), _ANSWER_WITHIN_S)
        answer = json.loads(line)
        if (refused := answer.get("refused")) is None:
            return read(answer["found"])
        error = described_error(refused)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, asyncio.TimeoutError) as failure:
        raise RequestError("mark-while-recording", path=directory) from failure
    raise error


async def _send(directory: Path, asked: bytes) -> bytes:
    name, owner = await off_loop(lambda: (_name_of(directory), directory.stat().st_uid))
    reader, writer = await asyncio.open_unix_connection(name, limit=_MOST_BYTES)
    try:
        if _user_of(writer) not in (os.geteuid(), _ROOT, owner):
            raise OSError("another user took the name of the recorder's socket")
        writer.write(asked)
        await writer.drain()
        return await reader.readline()
    finally:
        writer.close()


def _name_of(directory: Path) -> str:
    """The name of the socket of a directory. Blocking."""
    return "\0videostore/" + hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()


def _user_of(writer: asyncio.StreamWriter) -> int:
    """The user of the other side."""
    other: socket.socket = writer.get_extra_info("socket")
    _, user, _ = _CREDENTIALS.unpack(other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(user)
