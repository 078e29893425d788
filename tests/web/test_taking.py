"""How long an answer is sent to a viewer that takes little of it, or nothing."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.support.recording import until
from videostore.web import taking
from videostore.web.server import serve
from videostore.web.taking import LEAST_BYTES, _taken_bytes, taken

REQUEST: Any = None
LOOKS = 3 * taking._LOOKS


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "WITHIN_S", 0.3)


@dataclass
class Viewer:
    """Takes as much between two looks as it says, for some of them."""

    at_a_time: int
    looks: int = 0
    has_all: asyncio.Event = field(default_factory=asyncio.Event)

    def taken_bytes(self, request: object) -> int:
        self.looks += 1
        if self.looks == LOOKS:
            self.has_all.set()
        return min(self.looks, LOOKS) * self.at_a_time


async def sent_when(event: asyncio.Event) -> None:
    await event.wait()


async def test_what_is_taken_slowly_is_sent_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer(LEAST_BYTES // 4)
    monkeypatch.setattr(taking, "_taken_bytes", viewer.taken_bytes)
    await taken(REQUEST, sent_when(viewer.has_all))


async def test_what_is_not_taken_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer(LEAST_BYTES // 4)
    monkeypatch.setattr(taking, "_taken_bytes", viewer.taken_bytes)
    with pytest.raises(asyncio.TimeoutError):
        await taken(REQUEST, sent_when(asyncio.Event()))
    assert viewer.looks > LOOKS, "it was given up while something was taken"


async def test_a_viewer_that_takes_next_to_nothing_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer(LEAST_BYTES // 100)
    monkeypatch.setattr(taking, "_taken_bytes", viewer.taken_bytes)
    with pytest.raises(asyncio.TimeoutError):
        await taken(REQUEST, sent_when(viewer.has_all))


async def test_an_error_of_sending_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "_taken_bytes", Viewer(0).taken_bytes)

    async def broken() -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await taken(REQUEST, broken())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
async def test_what_the_viewers_system_has_confirmed_counts() -> None:
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
            seen.append(_taken_bytes(request))
            return len(seen) > 9 and 0 < seen[-1] == seen[-9]

        await until(stands_still)
        assert seen == sorted(seen)
        more = seen[-1] + (1 << 22)
        await read(reader, more)
        await until(lambda: _taken_bytes(request) >= more)
        writer.transport.abort()
        await until(lambda: _taken_bytes(request) == 0)


async def read(reader: asyncio.StreamReader, count_bytes: int) -> None:
    """Take at least so much of what comes."""
    while count_bytes > 0:
        count_bytes -= len(await reader.read(1 << 16))
