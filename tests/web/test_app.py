"""The application: routes, errors and the guard."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import web as aiohttp_web

from tests.support.web_server import WebServer, run_web
from videostore.web import app
from videostore.web.answers import Handler
from videostore.web.hls import HlsRoutes

_MUCH_BYTES = 32 << 20
"""More than the system takes in advance."""


class Doorman:
    """A guard that lets only those in who know a word."""

    async def middleware(self, request: aiohttp_web.Request, handler: Handler) -> aiohttp_web.StreamResponse:
        if request.headers.get("Authorization") != "sesame":
            return aiohttp_web.Response(status=401)
        answer = await handler(request)
        answer.headers["X-Guarded"] = "yes"
        return answer

    def routes(self) -> Sequence[aiohttp_web.RouteDef]:
        async def door(_: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
            return aiohttp_web.Response(text="door")

        return [aiohttp_web.get("/door", door)]


def test_an_unknown_address_is_an_error_in_json(web: WebServer) -> None:
    for path in (
        "nowhere",
        "api/recorders/yard/timeline",
        "hls/yard/index.m3u8",
        "static/../app.py",
        "hls/front-door/x",
    ):
        answer = web.get(path)
        assert answer.status == 404, path
        assert answer.json["error"] in ("no-such-page", "no-such-recorder")
        assert answer.json["message"]


def test_a_guard_decides_over_every_request(recording: Path) -> None:
    with run_web([recording], Doorman()) as server:
        for path in ("", "api/recorders", f"hls/{recording.name}/index.m3u8", "static/x", "nowhere"):
            assert server.get(path).status == 401, path
        answer = server.get("api/recorders", {"Authorization": "sesame"})
        assert (answer.status, answer.headers["X-Guarded"]) == (200, "yes")
        assert server.get("nowhere", {"Authorization": "sesame"}).headers["X-Guarded"] == "yes"
        assert server.get("door", {"Authorization": "sesame"}).text == "door"


def test_an_address_names_its_methods(web: WebServer) -> None:
    answer = web.get("api/recorders", method="DELETE")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert (answer.json["error"], answer.json["value"]) == ("method-unknown", "DELETE")


def test_what_takes_too_long_is_given_up_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = []

    async def hang(_: HlsRoutes, request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.append(request.path)
        raise AssertionError

    monkeypatch.setattr(app, "ANSWER_WITHIN_S", 0.1)
    monkeypatch.setattr(HlsRoutes, "playlist", hang)
    with run_web([]) as server:
        answer = server.get("hls/door/index.m3u8")
    assert (answer.status, answer.json["error"], answer.headers["Retry-After"]) == (503, "answer-too-late", "2")
    assert given_up == ["/hls/door/index.m3u8"]


@pytest.mark.parametrize("takes", [0, 1])
def test_a_client_that_takes_nothing_or_a_byte_at_a_time_of_an_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch, takes: int
) -> None:
    async def much(_: HlsRoutes, request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
        return aiohttp_web.Response(body=bytes(_MUCH_BYTES))

    monkeypatch.setattr(HlsRoutes, "playlist", much)
    with run_web([]) as server, socket.socket() as client:
        assert len(server.get("hls/door/index.m3u8").body) == _MUCH_BYTES
        monkeypatch.setattr(app, "ANSWER_WITHIN_S", 0.3)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2])))
        client.sendall(b"GET /hls/door/index.m3u8 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            for _ in range(30):
                taken += len(client.recv(takes)) if takes else 0
                time.sleep(0.05)
            while got := len(client.recv(1 << 20)):
                taken += got
        assert taken < _MUCH_BYTES
        assert server.get("api/recorders").status == 200
