"""A recorder over a store, served on a real socket, and a client of Viam's SDK that sends it commands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from grpclib.client import Channel
from grpclib.server import Server
from viam.components.camera.client import CameraClient
from viam.resource.manager import ResourceManager
from viam.rpc.server import _patch_mappings

from scripts.fakes.viam_services import windows
from tests.support.attributes import valid_attributes
from videostore.config import parse_config
from videostore.store.store import VideoStore
from videostore.viam.camera import StorageCamera
from videostore.viam.camera_service import StorageCameraService

NAME = "recorder"


class Client:
    """Sends commands to the recorder."""

    def __init__(self, camera: CameraClient) -> None:
        self.camera = camera

    async def __call__(self, command: str, **fields: Any) -> Mapping[str, Any]:
        """Send a command. `from_` becomes `from`."""
        fields = {name.rstrip("_"): value for name, value in fields.items()}
        return await self.camera.do_command({"command": command, **fields}, timeout=120)


@contextlib.asynccontextmanager
async def served(store: VideoStore, directory: Path) -> AsyncIterator[Client]:
    """Serve a started store on a socket in a directory."""
    storage_camera = StorageCamera(parse_config(NAME, valid_attributes())[0], None)
    storage_camera._store = store
    services = _patch_mappings([StorageCameraService(ResourceManager([storage_camera]))])  # sends refusals as they are
    server = Server(services, config=windows())
    path = str(directory / "socket")
    await server.start(path=path)
    channel = Channel(path=path, config=windows())
    try:
        yield Client(CameraClient(NAME, channel))
    finally:
        channel.close()
        server.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(server.wait_closed(), 150)
