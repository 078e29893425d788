"""A network camera that speaks RTSP over TCP: asks for a password, refuses, falls silent, changes its picture."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import re
import struct
import time
from collections.abc import Iterator

from tests.support.coding import Painter
from tests.support.recording import SMALL, US

USER, PASSWORD = "admin", "s3cret-passw0rd"
_PAYLOAD_BYTES = 1200
_TYPE = 96


class RtspCamera:
    """Serves painted H.264 or H.265 to each client from the start of a stream of its own."""

    def __init__(self, codec: str = "h264", *, fps: float = 20, gop: int = 12, with_password: bool = True) -> None:
        self.codec = codec
        self.fps = fps
        self.gop = gop
        self.size = SMALL
        self.delivered: list[int] = []
        """Capture times of the images that were sent."""
        self.refusal = ""
        """The status line of every answer to DESCRIBE, if it is not empty; see `refused_method`."""
        self.refused_method = "DESCRIBE"
        self.password = PASSWORD
        self.sending = asyncio.Event()
        """Cleared, it stays connected without sending anything."""
        self.sending.set()
        self.clients = 0
        """How many asked for the stream so far, whatever they were told."""
        self.port = 0
        self._with_password = with_password
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """With the password, if there is one."""
        return self.url_with(PASSWORD if self._with_password else "")

    def url_with(self, password: str) -> str:
        """The URL with this password, or without one."""
        credentials = f"{USER}:{password}@" if password else ""
        return f"rtsp://{credentials}127.0.0.1:{self.port}/stream"

    async def start(self) -> None:
        """Accept clients, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Pull the plug."""
        if self._server is not None:
            self._server.close()
        await self.drop()

    async def drop(self) -> None:
        """Close all connections."""
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        playing: asyncio.Task[None] | None = None
        try:
            while request := (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace"):
                request = request[request.rindex("\r\n", 0, -4) + 2 :] if request.startswith("$") else request
                method = request.partition(" ")[0]
                self._answer(writer, method, request)
                await writer.drain()
                if method == "PLAY" and playing is None and not self._refuses(method):
                    playing = asyncio.create_task(self._play(writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            if playing is not None:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
            writer.transport.abort()
            self._serving.discard(task)

    def _refuses(self, method: str) -> bool:
        return bool(self.refusal) and method == self.refused_method

    def _answer(self, writer: asyncio.StreamWriter, method: str, request: str) -> None:
        number = re.search(r"CSeq: *(\d+)", request, re.IGNORECASE)
        token = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        status, headers, body = "200 OK", "Session: 12345678", ""
        self.clients += method == "OPTIONS"
        if method == "OPTIONS":
            headers = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
        elif self._with_password and f"Basic {token}" not in request:
            status, headers = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"'
        elif self._refuses(method):
            status = self.refusal
        elif method == "DESCRIBE":
            headers, body = f"Content-Base: {self.url_with('')}/\r\nContent-Type: application/sdp", self._description()
        elif method == "SETUP":
            headers += "\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"RTSP/1.0 {status}\r\nCSeq: {number[1] if number else 0}\r\n{headers}\r\n{length}\r\n"
        writer.write((head + body).encode())

    def _description(self) -> str:
        name = {"h264": "H264", "hevc": "H265"}[self.codec]
        fmtp = f"a=fmtp:{_TYPE} packetization-mode=1\r\n" if self.codec == "h264" else ""
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
            f"m=video 0 RTP/AVP {_TYPE}\r\na=rtpmap:{_TYPE} {name}/90000\r\n{fmtp}a=control:track1\r\n"
        )

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        painter, size, sequence = Painter(self.codec, gop=self.gop, size=self.size), self.size, 1
        began, began_us = time.monotonic(), time.time_ns() // 1000
        with contextlib.suppress(OSError):
            for number in itertools.count():
                await asyncio.sleep(max(0.0, began + number / self.fps - time.monotonic()))
                await self.sending.wait()
                if self.size != size:
                    painter, size = Painter(self.codec, gop=self.gop, size=self.size), self.size
                captured_us = began_us + round((time.monotonic() - began) * US)
                for one in await asyncio.to_thread(painter.code, captured_us, captured_us - began_us):
                    stamp = (captured_us - began_us) * 9 // 100 & 0xFFFFFFFF
                    for payload, last in self._payloads(bytes(one)):
                        header = struct.pack(">BBHII", 0x80, last << 7 | _TYPE, sequence & 0xFFFF, stamp, 7)
                        writer.write(struct.pack(">cBH", b"$", 0, len(header) + len(payload)) + header + payload)
                        sequence += 1
                await writer.drain()
                self.delivered.append(captured_us)

    def _payloads(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """RTP payloads of an image in Annex B, and whether each is its last."""
        units = [unit for unit in re.split(rb"\x00?\x00\x00\x01", data) if unit]
        for unit in units:
            last = unit is units[-1]
            if len(unit) <= _PAYLOAD_BYTES:
                yield unit, last
                continue
            head = 1 if self.codec == "h264" else 2
            kind = unit[0] & 0x1F if self.codec == "h264" else unit[0] >> 1 & 0x3F
            rest = unit[head:]
            for at in range(0, len(rest), _PAYLOAD_BYTES):
                ends = at + _PAYLOAD_BYTES >= len(rest)
                flags = (0x80 if at == 0 else 0) | (0x40 if ends else 0) | kind
                if self.codec == "h264":
                    prefix = bytes([unit[0] & 0xE0 | 28, flags])
                else:
                    prefix = bytes([unit[0] & 0x81 | 49 << 1, unit[1], flags])
                yield prefix + rest[at : at + _PAYLOAD_BYTES], last and ends
