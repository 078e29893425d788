"""A camera in a process of its own, as the module of a camera runs beside ours, to be killed."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from grpclib.client import Channel
from viam.components.camera import Camera
from viam.components.camera.client import CameraClient

from scripts.fakes.viam_services import windows
from tests.support.checkout import ROOT
from tests.support.machine import FPS

_SERVE = """
import asyncio, sys
from grpclib.server import Server
from viam.components.camera.service import CameraRPCService
from viam.resource.manager import ResourceManager
from scripts.fakes.painted_camera import PaintedCamera

async def main():
    camera = PaintedCamera(sys.argv[2], width=320, height=180, interval=lambda: 1 / float(sys.argv[3]))
    server = Server([CameraRPCService(ResourceManager([camera]))])
    await server.start(path=sys.argv[1])
    print("serving", flush=True)
    await server.wait_closed()

asyncio.run(main())
"""


class RelayedCamera(Camera):
    """A camera of viam-server that relays requests to its module's process. `kill` kills that process."""

    def __init__(self, name: str, channel: Channel, process: asyncio.subprocess.Process) -> None:
        super().__init__(name)
        self._client = CameraClient(name, channel)
        self._process = process

    async def get_images(self, **kwargs: Any) -> Any:
        return await self._client.get_images(timeout=kwargs.get("timeout"))

    async def get_point_cloud(self, **kwargs: Any) -> Any:
        return await self._client.get_point_cloud(timeout=kwargs.get("timeout"))

    async def get_properties(self, **kwargs: Any) -> Any:
        return await self._client.get_properties()

    async def kill(self) -> None:
        """Kill the process, and wait until it has ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@contextlib.asynccontextmanager
async def run_camera(name: str, socket: Path) -> AsyncIterator[RelayedCamera]:
    """A camera whose process serves it on a socket. Everything is removed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVE, str(socket), name, str(FPS), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    channel = Channel(path=str(socket), config=windows())
    camera = RelayedCamera(name, channel, process)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"serving\n"
        yield camera
    finally:
        channel.close()
        await camera.kill()
        socket.unlink(missing_ok=True)
