"""The connections to the server: how many there are, and how long a client may take."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import traceback
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

from videostore.base.errors import RequestError
from videostore.web.headers import FIXED
from videostore.web.origin import is_loopback_address
from videostore.web.refusal import error_body

MOST = 256
MOST_OF_ADDRESS = 64
"""Of one address that is not this machine's, where a proxy may stand for many. A browser opens six."""
IDLE_S = 30.0
"""So long a connection may go without a whole request: for the first one, and between two."""
STALL_S = 60.0
"""A client that takes nothing of an answer for so long is given up: a player that pauses asks again."""
MOST_LINE_BYTES = 4096
MOST_FIELD_BYTES = 8190
"""Of a header: cookies of other servers on the same host come along."""
MOST_HEADERS = 64
LINGER_S = 2.0
"""The rest of a body that was refused is read for so long, so that the client gets the answer."""

_MOST_LINGERING = 256
_MOST_TOLD = 300
_CALLS_TOLD = 4

_LOGGER = logging.getLogger(__name__)
_BUSY = json.dumps({"error": "too-many-connections", "message": str(RequestError("too-many-connections"))}).encode()
_TOO_MANY = b"".join(
    (
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n",
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BUSY),
        _BUSY,
    )
)


class Connections:
    """Counts connections, and makes a protocol for each. For a new one, the one that is idle the longest is closed.

    One that has not asked anything yet is told to come back: its request may be on its way.
    """

    def __init__(self, *, most: int = MOST, most_of_address: int = MOST_OF_ADDRESS) -> None:
        self.server: web.Server
        """What answers. It is set before the first connection."""
        self._most, self._most_of_address = most, most_of_address
        self._open: dict[_Connection, str] = {}
        self.lingering: set[_Connection] = set()
        """Those that were refused, and may still be sending. They are not among the open ones."""
        self._of_address: Counter[str] = Counter()

    def __call__(self) -> asyncio.Protocol:
        """A protocol for a connection that is coming."""
        return _Connection(self, self.server)

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: _Connection, address: str) -> bool:
        """Whether there is room for a connection; there is if one can be closed for it."""
        of_address = self._of_address[address]
        if of_address >= self._most_of_address and not is_loopback_address(address):
            return self._make_room(address) and self._add(connection, address)
        return (len(self._open) < self._most or self._make_room(None)) and self._add(connection, address)

    def leave(self, connection: _Connection) -> None:
        """A connection has ended."""
        self.lingering.discard(connection)
        address = self._open.pop(connection, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _add(self, connection: _Connection, address: str) -> bool:
        self._open[connection] = address
        self._of_address[address] += 1
        return True

    def _make_room(self, address: str | None) -> bool:
        """Close one that is idle, of one address or of any; False if none is. The oldest comes first."""
        idle = (one for one, its in self._open.items() if one.is_idle and address in (None, its))
        found = next(idle, None)
        if found is None:
            return False
        self.leave(found)
        found.make_way()
        return True


class _Connection(web.RequestHandler):
    """aiohttp's protocol, which is not begun where there is no room."""

    __slots__ = ("_answered", "_asked", "_begun", "_connections", "_refused")

    def __init__(self, connections: Connections, server: web.Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
            max_line_size=MOST_LINE_BYTES,
            max_field_size=MOST_FIELD_BYTES,
            max_headers=MOST_HEADERS,
            auto_decompress=False,
        )
        self._connections = connections
        self._answered = self._asked = self._begun = self._refused = False

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered, or waits for that."""
        return not self._asked or (self._waiter is not None and not self._waiter.done())

    def make_way(self) -> None:
        """Close it for another one."""
        if self._answered:
            self.force_close()
        elif isinstance(self.transport, asyncio.Transport):
            self._refuse(self.transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        if not self._connections.admit(self, str(peer[0]) if isinstance(peer, tuple) else ""):
            self._refuse(transport)
            return
        self._begun = True
        _give_up_stalled(transport.get_extra_info("socket"))
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.leave(self)
        if self._begun:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            self._asked = True
            super().data_received(data)

    def eof_received(self) -> None:
        if not self._refused:
            super().eof_received()

    def _refuse(self, transport: asyncio.Transport) -> None:
        """Tell the client to come back. What it sends is read for a while: or the system would drop the answer."""
        self._refused = True
        transport.write(_TOO_MANY)
        lingering = self._connections.lingering
        if len(lingering) < _MOST_LINGERING and transport.can_write_eof():
            lingering.add(self)
            transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, transport.abort)
        else:
            transport.close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        found = await super().finish_response(request, resp, start_time)
        self._answered = True
        return found

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what cannot be read, or failed: in words that repeat nothing of the request."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _LOGGER.error("A request failed unexpectedly: %s", _in_one_line(exc))
            error = RequestError("request-failed")
        else:
            error = RequestError("request-malformed")
        response = web.json_response(error_body(error), status=status, headers={**FIXED, "Cache-Control": "no-store"})
        response.force_close()
        return response


def _in_one_line(error: BaseException | None) -> str:
    """What happened, and where: short, whatever a client made it of."""
    if error is None:
        return "it took too long"
    text = f"{type(error).__name__}: {error}"
    calls = traceback.extract_tb(error.__traceback__)[-_CALLS_TOLD:]
    where = ", ".join(f"{Path(call.filename).name}:{call.lineno}" for call in calls)
    return f"{text[:_MOST_TOLD]!r} ({where})"


def _give_up_stalled(sock: Any) -> None:
    """Let the system end a connection whose client takes nothing, on systems that can."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None and sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, round(STALL_S * 1000))
