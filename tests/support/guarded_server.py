"""An application behind the guard on a real socket, and requests to it as bytes: what no well-behaved client sends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.support.recording import FixedClock
from videostore.config import WebConfig
from videostore.web.guard import Guard, Handler
from videostore.web.headers import add_headers
from videostore.web.password import Password
from videostore.web.server import serve

PASSWORD = "a secret word"
LOCAL = "127.0.0.1"
WITHIN_S = 30.0


@dataclass(frozen=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    port: int
    clock: FixedClock

    async def send(self, data: bytes, host: str = LOCAL) -> bytes:
        """Send bytes over a connection of their own. Returns everything that comes back until the server closes it."""
        reader, writer = await asyncio.open_connection(host, self.port)
        try:
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
                return await asyncio.wait_for(reader.read(), WITHIN_S)
            return b""
        finally:
            writer.close()

    async def ask(self, target: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """Send a request for a target as it is. Names of headers have `_` for `-`; `Host` is this machine."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = {"Host": f"{LOCAL}:{self.port}", "Connection": "close", **named}
        if body:
            lines.setdefault("Content-Type", "application/json")
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return read_answer(await self.send(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body))

    async def log_in(self, password: str = PASSWORD, **headers: str) -> Answer:
        """Send a password."""
        body = json.dumps({"password": password}).encode()
        return await self.ask("/api/session", method="POST", body=body, **headers)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so. What takes longer than a minute hangs."""
    deadline = time.monotonic() + 2 * WITHIN_S
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def read_answer(data: bytes) -> Answer:
    """The first answer among bytes."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split(" ")[1]), headers, body)


def cookie_of(answer: Answer) -> str:
    """The cookie that an answer sets, as a browser sends it back."""
    return answer.headers["set-cookie"].partition(";")[0]


def protected(guard: Guard) -> web.Application:
    """An application that a guard protects, without anything else."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await guard.middleware(request, handler)

    app = web.Application(middlewares=[middleware])
    app.add_routes(guard.routes())
    app.on_response_prepare.append(add_headers)
    return app


@contextlib.asynccontextmanager
async def guarded(*, password: str | None = None, hosts: tuple[str, ...] = ()) -> AsyncIterator[Served]:
    """A server with a page, a health, something private that echoes, and something that fails."""
    clock = FixedClock()
    access = WebConfig(LOCAL, 0, password_env="PASSWORD" if password else None, hosts=hosts)
    app = protected(Guard(access, Password(password) if password else None, clock))

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"path": request.path})

    async def fail(_: web.Request) -> web.Response:
        raise RuntimeError("the secret reason")

    for path in ("/", "/healthz", "/static/page.mjs", "/api/recorders", "/hls/door/index.m3u8", "/metrics"):
        app.router.add_get(path, answer)
    app.router.add_post("/api/recorders", answer)
    app.router.add_get("/static/fail", fail)
    async with serve(app, LOCAL, 0) as url:
        yield Served(int(url.rstrip("/").rpartition(":")[2]), clock)
