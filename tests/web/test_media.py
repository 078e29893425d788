"""Media: the bytes of a segment, whole and in ranges."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from tests.support.web_server import WebServer
from videostore.media.segment import probe
from videostore.store.viewing import SegmentKey
from videostore.web import clip_api, taking
from videostore.web.server import serve


@pytest.fixture(scope="module")
def stored(mixed: Path) -> Path:
    return min(mixed.glob("*.mp4"))


@pytest.fixture(scope="module")
def uri(stored: Path) -> str:
    return f"hls/front-door/{SegmentKey.of(probe(stored))}.mp4"


def test_a_segment_is_sent_byte_by_byte(web: WebServer, stored: Path, uri: str) -> None:
    answer = web.get(uri)
    assert (answer.status, answer.body) == (200, stored.read_bytes())
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 1), ("10-19", 10, 20), ("100-", 100, None), ("-5", -5, None), ("5-99999999", 5, None)],
)
def test_a_range_of_it_is_sent(
    web: WebServer, stored: Path, uri: str, asked: str, first: int, last: int | None
) -> None:
    content = stored.read_bytes()
    answer = web.get(uri, {"Range": f"bytes={asked}"})
    assert (answer.status, answer.body) == (206, content[first:last])
    begin = first % len(content)
    end = len(content) if last is None else last
    assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(content)}"


@pytest.mark.parametrize("asked", ["99999999-", "9999999999999999999999-", "-0"])
def test_a_range_behind_the_end_is_refused(web: WebServer, stored: Path, uri: str, asked: str) -> None:
    answer = web.get(uri, {"Range": f"bytes={asked}"})
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{stored.stat().st_size}")


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=5-3", "bytes=0-1,4-5", "bytes=-", "bytes=a-b", "bytes=--1", ""])
def test_what_is_not_one_range_is_passed_over(web: WebServer, stored: Path, uri: str, asked: str) -> None:
    answer = web.get(uri, {"Range": asked})
    assert (answer.status, answer.body) == (200, stored.read_bytes())
    assert "Content-Range" not in answer.headers


def test_a_range_of_a_file_that_may_have_changed_is_not_sent(web: WebServer, stored: Path, uri: str) -> None:
    answer = web.get(uri, {"Range": "bytes=0-9", "If-Range": '"of another"'})
    assert (answer.status, answer.body) == (200, stored.read_bytes())


def test_a_connection_is_used_again(web: WebServer, uri: str, stored: Path) -> None:
    address = urlsplit(web.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    for _ in range(3):
        connection.request("GET", f"/{uri}", headers={"Range": "bytes=0-99"})
        answer = connection.getresponse()
        assert answer.read() == stored.read_bytes()[:100]
    connection.request("HEAD", f"/{uri}")
    assert int(connection.getresponse().headers["Content-Length"]) == stored.stat().st_size
    connection.close()


def test_a_viewer_that_goes_away_is_no_failure(web: WebServer, uri: str, caplog: pytest.LogCaptureFixture) -> None:
    address = urlsplit(web.url)
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as viewer:
                viewer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                viewer.sendall(f"GET /{uri} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode() * 3)
        assert web.get("api/recorders").status == 200
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_viewer_that_takes_nothing_of_a_video_lets_go_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "WITHIN_S", 0.3)
    ended = asyncio.Event()

    async def video() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            ended.set()

    async def send(request: web.Request) -> web.StreamResponse:
        return await clip_api._stream(request, video(), {})

    app = web.Application()
    app.router.add_get("/", send)
    async with serve(app, "127.0.0.1", 0) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(ended.wait(), 60)
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass
        assert not reader._buffer  # type: ignore[attr-defined]
        writer.close()
