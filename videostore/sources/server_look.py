"""A look at the server of a stream that ffmpeg cannot open, where its words do not tell what is wrong with the URL.

It costs a connection or two. Neither user name nor password is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from urllib.parse import SplitResult, urlsplit

from videostore.sources.input_url import Address
from videostore.sources.stream_fault import CLOSED, NO_RTSP, NO_TLS

REDIRECTS = "it redirects again and again, or to what is no stream: the URL has to be the stream's own address"
_WITH_TLS = {"http": "https", "rtsp": "rtsps", "rtmp": "rtmps"}
_WITHOUT_TLS = {secure: plain for plain, secure in _WITH_TLS.items()}
_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443}
"""Those that ffmpeg takes if the URL names none."""
_HUNG_UP = re.compile(rf"{CLOSED}|{NO_RTSP}.*")
_NOT_READ = re.compile(r".*\(ffmpeg: .*(?:Input/output error|Invalid argument)\)")
"""What ffmpeg says after too many redirections and, before version 6, of one that leads to something else than HTTP."""
_LOOK_S = 2.0
"""A server on the same network answers within milliseconds; the next attempt waits so long at most."""
_REDIRECTION = re.compile(rb"HTTP/1\.[01] 3\d\d\b")
_PLAIN_SERVER = re.compile(rb"(HTTP|RTSP)/1\.")
_TLS_RECORD = re.compile(rb"[\x15\x16]\x03")
"""An alert or a handshake."""
_START_BYTES = 12


async def explained(fault: str, address: Address) -> str:
    """Why a stream could not be opened, with what would be right, as far as its server tells that."""
    plain = _WITHOUT_TLS.get(address.scheme, "")
    if fault == NO_TLS:
        return _without_tls(plain, address.scheme) or fault
    look = _look_for_tls if _HUNG_UP.fullmatch(fault) else _look_for_redirection if _NOT_READ.fullmatch(fault) else None
    if look is None or address.scheme not in _PORTS or address.ends_in_password:
        return fault
    try:
        return await asyncio.wait_for(look(urlsplit(address.argument)), _LOOK_S) or fault
    except (OSError, EOFError, ValueError, asyncio.TimeoutError):
        return fault


def _without_tls(plain: str, scheme: str) -> str:
    reason = ""
    if plain:
        reason = f"{NO_TLS}: its URL begins with {plain}://, not {scheme}://"
    return reason


async def _look_for_tls(url: SplitResult) -> str:
    """Whether TLS is what is missing, or is too much; empty if the server does not tell. Raises as `_answer` does."""
    scheme = url.scheme
    if secure := _WITH_TLS.get(scheme):
        reason = f"it speaks TLS on this port: its URL begins with {secure}://, not {scheme}://"
        return reason if _TLS_RECORD.match(await _answer(url, _tls_hello())) else ""
    plain = _PLAIN_SERVER.match(await _answer(url, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"))
    return _without_tls(plain[1].decode().lower() if plain else "", scheme)


async def _look_for_redirection(url: SplitResult) -> str:
    """Whether it redirects; empty if it does not, or does not tell. Raises as `_answer` does."""
    if not url.scheme.startswith("http"):
        return ""
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    request = f"GET {target} HTTP/1.1\r\nHost: {url.netloc.rpartition('@')[2]}\r\nConnection: close\r\n\r\n"
    answer = await _answer(url, request.encode(), tls=_any_tls() if url.scheme in _WITHOUT_TLS else None)
    reason = ""
    if _REDIRECTION.match(answer):
        reason = REDIRECTS
    return reason


async def _answer(url: SplitResult, request: bytes, *, tls: ssl.SSLContext | None = None) -> bytes:
    """The start of what the server answers; empty if it closes the connection.

    Raises:
        OSError, EOFError: it cannot be reached.
        ValueError: the URL has no valid host or port.
    """
    reader, writer = await asyncio.open_connection(url.hostname, url.port or _PORTS[url.scheme], ssl=tls)
    try:
        writer.write(request)
        return await reader.readexactly(_START_BYTES)
    except asyncio.IncompleteReadError as end:
        return end.partial
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def _any_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _tls_hello() -> bytes:
    """What a client begins TLS with."""
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        _any_tls().wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    return sent.read()
