"""The server: listens on one address, and answers by the application until it is ended."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
from collections.abc import AsyncIterator

from aiohttp import web

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import VideoStoreError, reason_of

PORT = 8600
"""Where it listens unless told otherwise."""
HOST = "127.0.0.1"
_KEPT_OPEN_S = 75.0
_END_S = 1.0
"""How long requests in progress may go on when it ends."""
_BACKLOG = 128


@contextlib.asynccontextmanager
async def serve(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Answer requests at an address while the context lasts; gives the URL. Port 0 is any free one.

    Raises:
        VideoStoreError: the address cannot be used.
    """
    runner = web.AppRunner(
        app,
        handle_signals=False,
        access_log=None,
        keepalive_timeout=_KEPT_OPEN_S,
        shutdown_timeout=_END_S,
        logger=logging.getLogger("videostore.web"),
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise VideoStoreError(
                "web-not-listening", address=shown_address(host, port), reason=reason_of(error)
            ) from error
        yield f"http://{shown_address(host, runner.addresses[0][1])}/"
    finally:
        await runner.cleanup()


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
