"""How long an answer is sent to a viewer that takes little of it, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.support.recording import until
from videostore.web import taking
from videostore.web.server import serve
from videostore.web.taking import _left_bytes, taken

REQUEST: Any = None
LOOKS = 3 * taking._LOOKS


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "WITHIN_S", 0.3)


@dataclass
class Viewer:
    """Takes a byte between two looks, as long as there are some."""

    looks: int = 0
    has_all: asyncio.Event = field(default_factory=asyncio.Event)

    def left_bytes(self, request: object) -> int:
        self.looks += 1
        if self.looks == LOOKS:
            self.has_all.set()
        return max(0, LOOKS - self.looks)


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch) -> Viewer:
    viewer = Viewer()
    monkeypatch.setattr(taking, "_left_bytes", viewer.left_bytes)
    return viewer


async def sent_when(event: asyncio.Event) -> None:
    await event.wait()


async def test_what_is_taken_slowly_is_sent_however_long_it_takes(viewer: Viewer) -> None:
    await taken(REQUEST, sent_when(viewer.has_all))


async def test_what_is_not_taken_any_more_is_given_up(viewer: Viewer) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await taken(REQUEST, sent_when(asyncio.Event()))
    assert viewer.looks > LOOKS, "it was given up while something was taken"


async def test_an_error_of_sending_is_passed_on() -> None:
    async def broken() -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await taken(REQUEST, broken())


async def test_what_the_system_holds_for_a_viewer_counts() -> None:
    asked: asyncio.Queue[web.Request] = asyncio.Queue()

    async def send(request: web.Request) -> web.StreamResponse:
        asked.put_nowait(request)
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(bytes(1 << 20))

    app = web.Application()
    app.router.add_get("/", send)
    async with serve(app, "127.0.0.1", 0) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        request = await asked.get()
        seen: list[int] = []

        def stands_still() -> bool:
            seen.append(_left_bytes(request))
            return len(seen) > 3 and len(set(seen[-3:])) == 1

        await until(stands_still)
        transport: Any = request.transport
        assert seen[-1] > transport.get_write_buffer_size() > 0
        async for _ in blocks(reader, 1 << 23):
            pass
        await until(lambda: _left_bytes(request) != seen[-1] or reader.at_eof())
        writer.transport.abort()
        await until(lambda: _left_bytes(request) == 0)


async def blocks(reader: asyncio.StreamReader, count_bytes: int) -> AsyncIterator[bytes]:
    """What comes, until it is so much."""
    while count_bytes > 0:
        block = await reader.read(1 << 16)
        count_bytes -= len(block)
        yield block
