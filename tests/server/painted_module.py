"""A Viam module with a camera that paints the capture time into its images. It runs as `python -m`, for viam-server.

The camera writes the capture time of each image that it has delivered into a file, in microseconds since 1970, one a
line, so that a test in another process can compare a clip with them.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from viam.components.camera import Camera
from viam.module.module import Module
from viam.proto.app.robot import ComponentConfig
from viam.proto.common import ResourceName
from viam.resource.base import ResourceBase
from viam.resource.registry import Registry, ResourceCreatorRegistration
from viam.resource.types import Model

from scripts.fakes.painted_camera import PaintedCamera

MODEL = "videostore-test:camera:painted"


class _Written(list[int]):
    """Capture times that are also written into a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("a", buffering=1)

    def append(self, time_us: int) -> None:
        super().append(time_us)
        self._file.write(f"{time_us}\n")


def new(config: ComponentConfig, dependencies: Mapping[ResourceName, ResourceBase]) -> Camera:
    """The camera of a config."""
    fields = config.attributes.fields
    camera = PaintedCamera(
        config.name, width=round(fields["width"].number_value), height=round(fields["height"].number_value)
    )
    camera.delivered = _Written(Path(fields["delivered"].string_value))
    return camera


def validate(config: ComponentConfig) -> tuple[Sequence[str], Sequence[str]]:
    """A camera without a size cannot be built."""
    if missing := {"width", "height", "delivered"} - set(config.attributes.fields):
        raise ValueError(f"missing: {sorted(missing)}")
    return [], []


async def serve() -> None:
    """Serve until SIGTERM, then end at once: the SDK's own way waits for viam-server."""
    Registry.register_resource_creator(Camera.API, Model.from_string(MODEL), ResourceCreatorRegistration(new, validate))
    module = Module.from_args()
    module.add_model_from_registry(Camera.API, Model.from_string(MODEL))
    serving: asyncio.Task[None] = asyncio.create_task(module.start())  # type: ignore[no-untyped-call]
    await asyncio.sleep(0)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    await serving


if __name__ == "__main__":
    asyncio.run(serve())
