"""The server: listens on one address, and answers by the application until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import VideoStoreError, reason_of
from videostore.web.connections import Connections

HOST = "127.0.0.1"
_END_S = 1.0
"""How long requests in progress may go on when it ends."""
_BACKLOG = 128
_ELSEWHERE = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}  # noqa: S104
"""Hosts that stand for all addresses, and one of no machine in their family."""


@contextlib.asynccontextmanager
async def serve(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Answer requests at an address while the context lasts; gives the URL. Port 0 is any free one.

    An application is not started if its address cannot be used, so that it can be tried again with what it shows.

    Raises:
        VideoStoreError: the port is taken, or the address is none of this machine.
    """
    connections = Connections()
    with _told(shown_address(host, port)):
        listening = await asyncio.get_running_loop().create_server(
            connections, host, port, backlog=_BACKLOG, reuse_address=True, start_serving=False
        )
    try:
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_END_S,
            logger=logging.getLogger("videostore.web"),
            handler_cancellation=True,  # what a viewer who went away asked for must keep no other waiting
        )
        await runner.setup()
        try:
            assert runner.server is not None
            connections.server = runner.server
            with _told(shown_address(host, port)):
                await listening.start_serving()
            yield f"http://{shown_address(_reached(host), listening.sockets[0].getsockname()[1])}/"
        finally:
            listening.close()
            await runner.cleanup()
    finally:
        listening.close()


@contextlib.contextmanager
def _told(address: str) -> Iterator[None]:
    """Say in words why an address cannot be used. That another program uses it may show only when it is listened on."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise VideoStoreError("web-port-taken", address=address) from error
        # asyncio adds a text of its own, but not to what the resolver says.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else reason_of(error)
        raise VideoStoreError("web-not-served", address=address, reason=reason) from error


def _reached(host: str) -> str:
    """An address by which others reach what is served on a host: if that stands for all of them, the one of the route
    to elsewhere. Nothing is sent."""
    elsewhere = _ELSEWHERE.get(host)
    if elsewhere is None:
        return host
    family, address = elsewhere
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return str(probe.getsockname()[0])
    return "localhost"


def shown_address(host: str, port: int) -> str:
    """Host and port as a URL has them."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).version == 6:
            return f"[{host}]:{port}"
    return f"{host}:{port}"


def lower_priority() -> None:
    """Give way to recordings of the same machine, for this process and all that it starts."""
    with contextlib.suppress(OSError):
        os.nice(CUT_NICENESS)
