from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.inputs import open_input
from tests.support.once import file_once_per_run
from videostore.media.packet import Gap
from videostore.sources.input_url import Address
from videostore.sources.server_look import REDIRECTS, explained
from videostore.sources.stream_fault import CLOSED, NO_RTSP, NO_TLS

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SECRET = "geheim"
NOT_READ = "it cannot be read (ffmpeg: Input/output error)"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is needed")


@file_once_per_run
def make_certificate(path: Path) -> None:
    """The certificate and its key, in one file."""
    key = path.with_suffix(".key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())


async def tls(directory: Path) -> ssl.SSLContext:
    await asyncio.to_thread(make_certificate, directory / "camera.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "camera.pem")
    return context


@contextlib.asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a port of its own. What it is asked must hold no password."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answering(answer: bytes) -> Serve:
    """Answers every head of a request in plain text with this, and closes on anything else, as cameras do."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not (start := await reader.readexactly(1)).startswith(b"\x16"):
            head = start + await reader.readuntil(b"\r\n\r\n")
            writer.write(answer.replace(b"CSEQ", b"1" if b"CSeq: 1\r" in head else b"2"))
            await writer.drain()

    return serve


NOTHING_THERE = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
RTSP = b"RTSP/1.0 400 Bad Request\r\nCSeq: CSEQ\r\n\r\n"
TO_ITSELF = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"


async def failure(url: str, binary: str, **settings: object) -> str:
    """Why an input cannot be opened."""
    async with contextlib.aclosing(open_input(url, binary, **settings).packets()) as items:  # type: ignore[type-var]
        gap = await items.__anext__()
    assert isinstance(gap, Gap) and SECRET not in gap.reason
    return gap.reason.partition(" failed: ")[2]


@needs_openssl
@pytest.mark.parametrize("scheme", ["http", "rtsp", "rtmp"])
async def test_a_server_that_speaks_tls_is_told_with_the_scheme_that_is_right(
    scheme: str, tmp_path: Path, binary: str
) -> None:
    async with serving(answering(NOTHING_THERE), await tls(tmp_path)) as port:
        found = await failure(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/x", binary)
    assert found == f"it speaks TLS on this port: its URL begins with {scheme}s://, not {scheme}://"


@pytest.mark.parametrize(("scheme", "answer"), [("https", NOTHING_THERE), ("rtsps", RTSP)])
async def test_a_server_that_speaks_no_tls_is_told_with_the_scheme_that_is_right(
    scheme: str, answer: bytes, binary: str
) -> None:
    async with serving(answering(answer)) as port:
        found = await failure(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/x", binary)
    assert found == f"{NO_TLS}: its URL begins with {scheme[:-1]}://, not {scheme}://"


async def test_an_answer_in_plain_text_to_tls_is_told_in_the_same_way(binary: str) -> None:
    async def complain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(NOTHING_THERE)

    async with serving(complain) as port:
        for scheme in ("https", "rtsps", "rtmps"):
            found = await failure(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/x", binary)
            assert found == f"{NO_TLS}: its URL begins with {scheme[:-1]}://, not {scheme}://"


async def test_a_server_that_redirects_without_an_end_is_told(binary: str) -> None:
    async with serving(answering(TO_ITSELF)) as port:
        assert await failure(f"http://user:{SECRET}@127.0.0.1:{port}/x", binary) == REDIRECTS


@needs_openssl
async def test_one_with_tls_that_redirects_without_an_end_is_told(tmp_path: Path, binary: str) -> None:
    async with serving(answering(TO_ITSELF), await tls(tmp_path)) as port:
        url = f"https://user:{SECRET}@127.0.0.1:{port}/x"
        assert await failure(url, binary, options={"tls_verify": "0"}) == REDIRECTS


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(5)
    writer.transport.abort()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("serve", [hang_up, say_nothing, answering(b"220 mail\r\n")])
@pytest.mark.parametrize("fault", [CLOSED, f"{NO_RTSP} (ffmpeg: Invalid data found)", NOT_READ])
async def test_what_the_server_does_not_tell_is_told_as_before(
    serve: Serve, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videostore.sources.server_look._LOOK_S", 0.2)
    async with serving(serve) as port:
        for scheme in ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps"):
            address = Address(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/x", {}, None)
            assert await explained(fault, address) == fault


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("rtsp://127.0.0.1:1/x", CLOSED),  # nothing listens
        ("rtsp://127.0.0.1:99999/x", CLOSED),
        ("rtsp://[::1/x", CLOSED),
        ("rtsp:///x", CLOSED),
        ("http://" + "a" * 70 + ".invalid/x", CLOSED),
        ("srt://127.0.0.1:1", CLOSED),
        ("rtsp://a:b@c/d@127.0.0.1/x", CLOSED),
        ("rtsp://127.0.0.1/x", "it has no such stream (404)"),
        ("tls://127.0.0.1:1", NO_TLS),
    ],
)
async def test_where_there_is_nothing_to_look_at_the_reason_stays(url: str, fault: str) -> None:
    assert await explained(fault, Address(url, {}, None)) == fault


async def test_neither_user_name_nor_password_is_sent() -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))

    async with serving(hear) as port:
        for scheme in ("http", "https", "rtsp", "rtsps"):
            for fault in (CLOSED, NOT_READ):
                await explained(fault, Address(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/x", {}, None))
    assert heard and not any(word in one for one in heard for word in (b"user", SECRET.encode(), b"Authorization"))
