"""Stands between a camera and its client, and loses some of the packets that the camera sends over UDP.

The requests of RTSP pass through it. In them it replaces the ports to which the client wants the stream, by its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from types import TracebackType
from typing import cast

_CLIENT_PORTS = re.compile(rb"client_port=(\d+)-(\d+)")


class LossyProxy:
    """A proxy for the camera at a port. It is an asynchronous context manager, which ends it."""

    def __init__(self, camera_port: int, lost: Callable[[int], bool]) -> None:
        """`lost` tells of the number of an RTP packet whether it is lost."""
        self.port = 0
        self.passed = 0
        self.lost = 0
        self._camera_port = camera_port
        self._is_lost = lost
        self._stack = contextlib.AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> LossyProxy:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._stack.callback(server.close)
        self.port = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ports: dict[bytes, bytes] = {}
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            camera_reader, camera_writer = await asyncio.open_connection("127.0.0.1", self._camera_port)
            answers = asyncio.create_task(self._answer(camera_reader, writer, ports))
            try:
                while request := await reader.read(65536):
                    camera_writer.write(await self._with_our_ports(request, ports))
            finally:
                answers.cancel()
                camera_writer.close()
                writer.close()
        self._tasks.discard(task)

    async def _answer(
        self, camera: asyncio.StreamReader, client: asyncio.StreamWriter, ports: dict[bytes, bytes]
    ) -> None:
        while answer := await camera.read(65536):
            for ours, theirs in ports.items():
                answer = answer.replace(b"client_port=" + ours, b"client_port=" + theirs)
            client.write(answer)

    async def _with_our_ports(self, request: bytes, ports: dict[bytes, bytes]) -> bytes:
        if (found := _CLIENT_PORTS.search(request)) is None:
            return request
        numbers = []
        for theirs, lossy in ((int(found[1]), True), (int(found[2]), False)):
            loop = asyncio.get_running_loop()
            relay, _ = await loop.create_datagram_endpoint(
                lambda port=theirs, lossy=lossy: _Relay(self, port, lossy=lossy),  # type: ignore[misc]
                local_addr=("127.0.0.1", 0),
            )
            self._stack.callback(relay.close)
            numbers.append(b"%d" % relay.get_extra_info("sockname")[1])
        ports[b"-".join(numbers)] = b"-".join((found[1], found[2]))
        return request.replace(found[0], b"client_port=" + b"-".join(numbers))

    def loses(self) -> bool:
        """Whether the next RTP packet is lost."""
        number = self.passed + self.lost
        lost = self._is_lost(number)
        self.lost += lost
        self.passed += not lost
        return lost


class _Relay(asyncio.DatagramProtocol):
    def __init__(self, proxy: LossyProxy, client_port: int, *, lossy: bool) -> None:
        self._proxy = proxy
        self._client = ("127.0.0.1", client_port)
        self._lossy = lossy
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self._transport is not None and not (self._lossy and self._proxy.loses()):
            self._transport.sendto(data, self._client)
