"""The server of a module does what it is told, and tells where it serves. tests/faults has it as a process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.guarded_server import Served, eventually
from tests.support.recording import FixedClock, until
from videostore.config import WebConfig
from videostore.web.child import run
from videostore.web.control import ALIVE, Message, read_message, write_message, write_serve


class Told:
    """A server that runs in this process, the messages to it, and what it says."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self.said: list[tuple[str, str]] = []
        self.alive = 0

    def tell(self, line: bytes) -> None:
        """Send it a line."""
        message = read_message(line)
        assert message is not None
        self._messages.put_nowait(message)

    def end(self) -> None:
        """Its input ends."""
        self._messages.put_nowait(None)

    async def messages(self) -> AsyncIterator[Message]:
        while (message := await self._messages.get()) is not None:
            yield message

    def say(self, line: bytes) -> None:
        message = read_message(line)
        assert message is not None
        if message.kind == ALIVE:
            self.alive += 1
        else:
            self.said.append((message.kind, message.fields["text"]))

    @property
    def server(self) -> Served:
        """It, once it serves."""
        return Served(int(self.said[-1][1].rstrip("/").rpartition(":")[2]), FixedClock())


@contextlib.asynccontextmanager
async def child(web: WebConfig) -> AsyncIterator[Told]:
    told = Told()
    running = asyncio.create_task(run(told.messages(), told.say, retry_s=0.05))
    told.tell(write_serve(web))
    try:
        yield told
    finally:
        told.end()
        await asyncio.wait_for(running, 150)


def added(name: str, directory: Path, upload: Path | None = None) -> bytes:
    return write_message("add", name=name, directory=str(directory), upload_path=upload)


async def recorders(told: Told) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = (await told.server.ask("/api/recorders")).json["recorders"]
    return found


async def test_recorders_come_and_go_and_their_health_is_shown(recording: Path, tmp_path: Path) -> None:
    async with child(WebConfig("127.0.0.1", 0)) as told:
        told.tell(added("door", recording))
        await until(lambda: told.said)
        assert told.said[0][0] == "serving"
        assert [(one["name"], one["saves"]) for one in await recorders(told)] == [("door", False)]
        told.tell(added("yard", recording, tmp_path / "uploads"))
        told.tell(write_message("status", of={"door": {"recording": True, "frames_per_second": 5.0}, "gone": {}}))
        await until(lambda: told.alive == 1)

        async def is_told() -> bool:
            return len(await recorders(told)) == 2 and b'recording{recorder="door"} 1' in await metrics(told)

        await eventually(is_told)
        assert [(one["name"], one["saves"]) for one in await recorders(told)] == [("door", False), ("yard", True)]
        told.tell(write_message("remove", name="door"))
        told.tell(write_message("remove", name="door"))

        async def is_gone() -> bool:
            return [one["name"] for one in await recorders(told)] == ["yard"]

        await eventually(is_gone)


async def metrics(told: Told) -> bytes:
    return (await told.server.ask("/metrics")).body


async def test_what_keeps_it_from_serving_is_told_and_tried_again(tmp_path: Path, recording: Path) -> None:
    file = tmp_path / "password"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with child(WebConfig("127.0.0.1", port, password_file=file)) as told:
            told.tell(added("door", recording))
            await until(lambda: told.said and "cannot be read" in told.said[-1][1])
            file.touch(mode=0o600)
            file.write_text("a secret word")
            await until(lambda: "another program uses this port" in told.said[-1][1])
            assert {kind for kind, _ in told.said} == {"trouble"}
            taken.close()
            await until(lambda: told.said[-1][0] == "serving")
            assert (await told.server.ask("/api/recorders")).status == 401
            assert (await told.server.ask("/healthz")).body == b"ok\n"
