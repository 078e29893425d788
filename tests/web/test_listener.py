"""The server listens where the config says, or says why it cannot."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from tests.support.guarded_server import Served
from tests.support.recording import FixedClock
from videostore.base.errors import VideoStoreError
from videostore.config import WebConfig
from videostore.web.listener import listen


def application() -> web.Application:
    app = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="here")

    app.router.add_get("/", answer)
    return app


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_it_answers_at_its_address(host: str) -> None:
    async with listen(application(), WebConfig(host, 0)) as url:
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
            async with listen(application(), WebConfig("127.0.0.1", port)):
                pass
    assert caught.value.code == "web-port-taken" and f"127.0.0.1:{port}" in str(caught.value)


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
async def test_an_address_that_is_none_of_this_machine_is_named(host: str) -> None:
    with pytest.raises(VideoStoreError) as caught:
        async with listen(application(), WebConfig(host, 8600)):
            pass
    assert caught.value.code == "web-not-served" and host in str(caught.value)
    assert "attempting" not in str(caught.value)


async def test_at_the_end_the_port_is_free_and_connections_are_closed() -> None:
    async with listen(application(), WebConfig("127.0.0.1", 0)) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    async with listen(application(), WebConfig("127.0.0.1", port)):
        pass
