"""A running web server, in a thread with a loop of its own, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.recording import LOGGER
from videostore.base.errors import RequestError
from videostore.web.app import Guard, make_app
from videostore.web.recorders import RecorderPlace, Recorders
from videostore.web.server import HOST, serve

FOREIGN_S = 1_725_001_000
"""When a segment of the Go module begins in the recording that tests of the server share."""
_WITHIN_S = 60.0
_PIECE = re.compile(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)\n#EXTINF:([0-9.]+),\n(?:#EXT-X-BYTERANGE:(\d+)@(\d+)\n)?(\S+)\n")


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The content of an answer in JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The content as text."""
        return self.body.decode()


@dataclass(frozen=True)
class Piece:
    """A piece of a playlist."""

    date: str
    seconds: float
    bytes: tuple[int, int] | None
    """Its first byte, and the one behind its last."""
    address: str

    @property
    def uri(self) -> str:
        """The address without its query, which every part of a segment has in common."""
        return self.address.partition("?")[0]


@dataclass
class WebServer:
    """A server that runs."""

    url: str
    recorders: Recorders
    loop: asyncio.AbstractEventLoop

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: bytes = b""
    ) -> Answer:
        """Ask for a path."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_WITHIN_S)
        with contextlib.closing(connection):
            connection.request(method, f"/{path}", body=body or None, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def pieces(self, path: str) -> list[Piece]:
        """The pieces of a playlist."""
        return pieces_of(self.get(path).text)

    def run(self, work: Any) -> Any:
        """Await something on the server's loop."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(_WITHIN_S)


def pieces_of(playlist: str) -> list[Piece]:
    """The pieces of the text of a playlist."""
    return [
        Piece(date, float(seconds), (int(begin), int(begin) + int(size)) if size else None, uri)
        for date, seconds, size, begin, uri in _PIECE.findall(playlist)
    ]


@contextlib.contextmanager
def run_web(places: Sequence[RecorderPlace | Path], guard: Guard | None = None) -> Iterator[WebServer]:
    """A server over some directories, as long as the context lasts."""
    started: Future[WebServer] = Future()
    end: list[asyncio.Event] = []

    async def run() -> None:
        recorders = Recorders(LOGGER)
        for one in places:
            recorders.add(one if isinstance(one, RecorderPlace) else RecorderPlace(one.name, one))
        end.append(asyncio.Event())
        async with serve(make_app(recorders, guard), HOST, 0) as url:
            for recorder in recorders:
                with contextlib.suppress(RequestError):  # it cannot be opened
                    await (await recorder.store())._archive.reconciled.wait()
            started.set_result(WebServer(url, recorders, asyncio.get_running_loop()))
            await end[0].wait()

    def run_thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run_thread, daemon=True)
    thread.start()
    server = started.result(_WITHIN_S)
    try:
        yield server
    finally:
        server.loop.call_soon_threadsafe(end[0].set)
        thread.join(_WITHIN_S)
        assert not thread.is_alive()
