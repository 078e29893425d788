"""A crowd, or clients that say nothing, do not keep others out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from tests.support.guarded_server import LOCAL, WITHIN_S
from tests.support.recording import until
from videostore.web import connections
from videostore.web.connections import Connections

ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Crowd:
    """A server with room for a few, and its clients."""

    connections: Connections
    port: int
    release: asyncio.Event
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, data: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection(LOCAL, self.port)
        self.opened.append(writer)
        writer.write(data)
        return reader


@contextlib.asynccontextmanager
async def crowd(*, size_bytes: int = 4, fault: str = "", **bounds: int) -> AsyncIterator[Crowd]:
    release = asyncio.Event()

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        await release.wait()
        if fault:
            raise LookupError(fault)
        return web.Response(body=b"x" * size_bytes)

    server = web.Server(answer)
    protocols = Connections(**bounds)
    protocols.server = server
    listening = await asyncio.get_running_loop().create_server(protocols, LOCAL, 0)
    found = Crowd(protocols, listening.sockets[0].getsockname()[1], release)
    try:
        yield found
    finally:
        release.set()
        for writer in found.opened:
            writer.close()
        listening.close()
        await server.shutdown(1)


async def test_more_than_there_is_room_for_are_told_to_come_back() -> None:
    async with crowd(most=3) as server:
        waiting = [await server.connect(ASK) for _ in range(3)]
        await until(lambda: all(not one.is_idle for one in server.connections._open) and len(server.connections) == 3)
        refused = await asyncio.wait_for((await server.connect(ASK)).read(), WITHIN_S)
        assert refused.startswith(b"HTTP/1.1 503 ") and b"too-many-connections" in refused
        server.release.set()
        for reader in waiting:
            assert (await asyncio.wait_for(reader.readline(), WITHIN_S)).startswith(b"HTTP/1.1 200")
        assert (await asyncio.wait_for((await server.connect(ASK)).readline(), WITHIN_S)).startswith(b"HTTP/1.1 200")


async def test_those_that_say_nothing_make_room_for_those_that_ask() -> None:
    async with crowd(most=3) as server:
        server.release.set()
        silent = [await server.connect() for _ in range(3)]
        await until(lambda: len(server.connections) == 3)
        for _ in range(2):
            assert (await asyncio.wait_for((await server.connect(ASK)).readline(), WITHIN_S)).startswith(
                b"HTTP/1.1 200"
            )
        for reader in silent[:2]:  # it may have been about to ask
            told = await asyncio.wait_for(reader.read(), WITHIN_S)
            assert told.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in told
        assert len(server.connections) == 3


async def test_those_that_had_an_answer_make_room_in_silence() -> None:
    async with crowd(most=1) as server:
        server.release.set()
        kept = await server.connect(ASK)
        assert await asyncio.wait_for(kept.readuntil(b"xxxx"), WITHIN_S)
        assert (await asyncio.wait_for((await server.connect(ASK)).readline(), WITHIN_S)).startswith(b"HTTP/1.1 200")
        assert await asyncio.wait_for(kept.read(), WITHIN_S) == b""


async def test_each_of_a_flood_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_S", 0.5)
    async with crowd(most=8) as server:
        server.release.set()

        def ask() -> bytes:
            with socket.create_connection((LOCAL, server.port), timeout=WITHIN_S) as client:
                client.sendall(ASK)
                client.settimeout(WITHIN_S)
                return client.recv(4096)

        with ThreadPoolExecutor(64) as threads:
            loop = asyncio.get_running_loop()
            answers = await asyncio.gather(*(loop.run_in_executor(threads, ask) for _ in range(400)))
        assert {one[:13] for one in answers} <= {b"HTTP/1.1 200 ", b"HTTP/1.1 503 "}
        await until(lambda: not server.connections.lingering)
        assert len(server.connections) <= 8


async def test_one_address_does_not_take_all_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "is_loopback_address", lambda _: False)
    async with crowd(most=100, most_of_address=2) as server:
        for _ in range(2):
            await server.connect(ASK)
        await until(lambda: all(not one.is_idle for one in server.connections._open) and len(server.connections) == 2)
        assert (await asyncio.wait_for((await server.connect(ASK)).read(), WITHIN_S)).startswith(b"HTTP/1.1 503")


async def test_a_request_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    async with crowd() as server:
        server.release.set()
        for begin in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", ASK + b"GET / HT"):
            reader = await server.connect(begin)
            answer = await asyncio.wait_for(reader.read(), WITHIN_S)
            assert answer.startswith(b"HTTP/1.1 200") == begin.startswith(ASK)
        await until(lambda: not len(server.connections))
        assert not server.connections._of_address


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system cannot tell")
async def test_a_client_that_takes_nothing_of_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_S", 0.5)
    async with crowd(size_bytes=50_000_000) as server:
        with socket.create_connection((LOCAL, server.port)) as client:  # never read from
            await asyncio.to_thread(client.sendall, ASK)
            await until(lambda: len(server.connections) == 1)
            server.release.set()
            await until(lambda: not len(server.connections))


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(200)) + b"\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"<script>alert(1)</script>\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n",
        b"GET\t/\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=[
        "line",
        "field",
        "fields",
        "version",
        "tls",
        "script",
        "negative",
        "smuggled",
        "space",
        "folded",
        "tabs",
        "nul",
    ],
)
async def test_what_is_no_request_is_answered_without_repeating_it(request_: bytes) -> None:
    async with crowd() as server:
        server.release.set()
        answer = await asyncio.wait_for((await server.connect(request_)).read(), WITHIN_S)
        assert answer.split(b" ", 2)[1] == b"400" and b"request-malformed" in answer, answer[:200]
        assert b"script>" not in answer and b"xxx" not in answer


async def test_what_fails_unexpectedly_is_logged_in_one_short_line(caplog: pytest.LogCaptureFixture) -> None:
    async with crowd(fault="secret\n" * 1000) as server:
        server.release.set()
        answer = await asyncio.wait_for((await server.connect(ASK)).read(), WITHIN_S)
        assert answer.split(b" ", 2)[1] == b"500" and b"request-failed" in answer
        assert b"secret" not in answer
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert line.startswith("A request failed unexpectedly: 'LookupError: secret")
    assert "test_connections.py:" in line
    assert "\n" not in line and len(line) < 1000


async def test_requests_that_come_without_waiting_for_answers_are_not_piled_up() -> None:
    async with crowd() as server:
        reader = await server.connect()
        writer = server.opened[-1]
        many = 200_000
        with contextlib.suppress(asyncio.TimeoutError):
            for _ in range(many // 1000):
                writer.write(ASK * 1000)
                await asyncio.wait_for(writer.drain(), 1)
        (connection,) = server.connections._open
        assert len(connection._messages) < 1000
        server.release.set()
        assert (await asyncio.wait_for(reader.readline(), WITHIN_S)).startswith(b"HTTP/1.1 200")
