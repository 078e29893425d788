"""Serves an application at the address of a config, within the bounds of `connections`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator

from aiohttp import web

from videostore.base.errors import VideoStoreError, reason_of
from videostore.config import WebConfig
from videostore.web.connections import Connections

_BACKLOG = 128
_END_S = 0.5
"""Answers that are being sent get so long at the end."""


@contextlib.asynccontextmanager
async def listen(app: web.Application, access: WebConfig) -> AsyncIterator[str]:
    """Serve it meanwhile. Gives the address as a URL, with the port that the system chose if the config has 0.

    Raises:
        VideoStoreError: the port is taken, or the address is none of this machine.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_END_S)
    await runner.setup()
    try:
        assert runner.server is not None
        try:
            server = await asyncio.get_running_loop().create_server(
                Connections(runner.server), access.host, access.port, backlog=_BACKLOG, reuse_address=True
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise VideoStoreError("web-port-taken", address=access.address) from error
            # asyncio adds a text of its own, but not to what the resolver says.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else reason_of(error)
            raise VideoStoreError("web-not-served", address=access.address, reason=reason) from error
        try:
            port = server.sockets[0].getsockname()[1]
            yield f"http://{access.address.rpartition(':')[0]}:{port}/"
        finally:
            server.close()
    finally:
        await runner.cleanup()
