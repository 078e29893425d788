"""The server listens, or says why it cannot."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from tests.support.guarded_server import Served
from tests.support.recording import FixedClock
from videostore.base.errors import VideoStoreError
from videostore.web.server import serve, shown_address


def application() -> web.Application:
    app = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="here")

    app.router.add_get("/", answer)
    return app


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_it_answers_at_its_address(host: str) -> None:
    async with serve(application(), host, 0) as url:
        name, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
        assert name == (f"[{host}]" if ":" in host else host)
        reply = await Served(int(port), FixedClock()).send(b"GET / HTTP/1.0\r\n\r\n", host)
        assert reply.endswith(b"here")


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(VideoStoreError) as caught:
            async with serve(application(), "127.0.0.1", port):
                pass
    assert caught.value.code == "web-port-taken" and f"127.0.0.1:{port}" in str(caught.value)


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
async def test_an_address_that_is_none_of_this_machine_is_named(host: str) -> None:
    with pytest.raises(VideoStoreError) as caught:
        async with serve(application(), host, 8600):
            pass
    assert caught.value.code == "web-not-served" and host in str(caught.value)
    assert "attempting" not in str(caught.value)


async def test_what_could_not_be_served_can_be_tried_again() -> None:
    ended: list[web.Application] = []

    async def end(app: web.Application) -> None:
        ended.append(app)

    app = application()
    app.on_cleanup.append(end)
    with pytest.raises(VideoStoreError):
        async with serve(app, "192.0.2.77", 0):
            pass
    assert ended == []
    async with serve(app, "127.0.0.1", 0):
        pass
    assert ended == [app]


async def test_at_the_end_the_port_is_free_and_connections_are_closed() -> None:
    async with serve(application(), "127.0.0.1", 0) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    async with serve(application(), "127.0.0.1", port):
        pass


def test_an_address_is_written_as_in_a_url() -> None:
    assert shown_address("127.0.0.1", 8600) == "127.0.0.1:8600"
    assert shown_address("::1", 8600) == "[::1]:8600"
    assert shown_address("localhost", 8600) == "localhost:8600"


async def test_an_address_that_stands_for_all_is_told_as_one_that_can_be_opened() -> None:
    async with serve(application(), "0.0.0.0", 0) as url:
        host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
        assert host != "0.0.0.0"
        reply = await Served(int(port), FixedClock()).send(b"GET / HTTP/1.0\r\n\r\n", host)
        assert reply.endswith(b"here")


async def test_a_request_ends_with_its_client() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    app = application()
    app.router.add_get("/long", answer)
    async with serve(app, "127.0.0.1", 0) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /long HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await asyncio.wait_for(begun.wait(), 150)
        writer.close()
        await asyncio.wait_for(ended.wait(), 150)
