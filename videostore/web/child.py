"""The server of a module, as a process: told by its standard input what to show, until that ends."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NoReturn

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import VideoStoreError
from videostore.base.lanes import use_lanes
from videostore.base.system import favour_event_loop, share_memory
from videostore.base.tasks import end_task, off_loop
from videostore.config import WebConfig
from videostore.web.app import make_app
from videostore.web.control import (
    ADD,
    ALIVE,
    ANSWER,
    MOST_LINE_BYTES,
    REMOVE,
    SERVE,
    SERVING,
    STATUS,
    TROUBLE,
    Message,
    read_message,
    read_serve,
    write_log,
    write_message,
)
from videostore.web.guard import Guard
from videostore.web.marks import AskedMarks, Module
from videostore.web.password import read_password
from videostore.web.recorders import RecorderPlace, Recorders
from videostore.web.server import lower_priority, serve

_RETRY_S = 5.0
"""How often an address that cannot be used, or a password that cannot be read, is tried again."""
_CLOSE_S = 0.7

_LOGGER = logging.getLogger("videostore.web")


def main() -> NoReturn:
    """Serve until standard input ends; this never returns. Threads that wait for a disk do not keep it."""
    share_memory()
    favour_event_loop()
    if os.nice(0) < CUT_NICENESS:  # the system has no program for it
        lower_priority()
    logging.basicConfig(handlers=[_Handler()], level=logging.INFO, format="%(message)s")
    code = 1
    try:
        asyncio.run(_main())
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Exception:
        _LOGGER.exception("The server failed.")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # Python 3.10 cannot subscript it
    """Writes each record as one line that begins with its level."""

    def format(self, record: logging.LogRecord) -> str:
        return write_log(record, super().format(record))


async def _main() -> None:
    loop = asyncio.get_running_loop()
    use_lanes()
    reader = asyncio.StreamReader(limit=MOST_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await run(_messages(reader), _say)


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    while True:
        try:
            line = await reader.readline()
        except ValueError:  # it is too long, and is left out
            continue
        if not line:
            return
        if (message := read_message(line)) is not None:
            yield message


async def run(messages: AsyncIterator[Message], say: Callable[[bytes], None], *, retry_s: float = _RETRY_S) -> None:
    """Do what the messages say until they end, and say where it serves."""
    recorders, module = Recorders(_LOGGER), Module(say)
    serving: asyncio.Task[None] | None = None
    try:
        async for message in messages:
            if message.kind == SERVE and serving is None:
                serving = asyncio.create_task(_serve(read_serve(message.fields), recorders, say, retry_s))
            elif message.kind == ADD:
                upload = message.fields["upload_path"]
                place = RecorderPlace(
                    message.fields["name"], Path(message.fields["directory"]), Path(upload) if upload else None
                )
                recorders.add(place, AskedMarks(module, place.name))
            elif message.kind == REMOVE and (found := recorders.named(message.fields["name"])) is not None:
                await recorders.remove(found)
            elif message.kind == ANSWER:
                module.answered(message)
            elif message.kind == STATUS:
                say(write_message(ALIVE))
                for name, status in message.fields["of"].items():
                    if (recorder := recorders.named(name)) is not None:
                        recorder.tell(status)
    finally:
        if serving is not None:
            await end_task(serving)
        await asyncio.wait([asyncio.ensure_future(recorders.close())], timeout=_CLOSE_S)


async def _serve(web: WebConfig, recorders: Recorders, say: Callable[[bytes], None], retry_s: float) -> None:
    while True:
        try:
            password = await off_loop(read_password, web)
            app = make_app(recorders, Guard(web, password))
            async with serve(app, web.host, web.port) as url:
                say(write_message(SERVING, text=url))
                await asyncio.Event().wait()
        except VideoStoreError as error:
            say(write_message(TROUBLE, text=str(error)))
        await asyncio.sleep(retry_s)
