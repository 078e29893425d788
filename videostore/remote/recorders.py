"""The recorders of a machine, found among its cameras."""

from __future__ import annotations

import asyncio

from viam.components.camera import Camera
from viam.robot.client import RobotClient

from videostore.base.errors import MachineError, RequestError, VideoStoreError
from videostore.remote.call_errors import translated_errors
from videostore.remote.responses import parse_state

LOOK_S = 5.0
"""A camera that is not a recorder may hang. Recorders respond within a tenth of a second."""


async def find_recorder(address: str, robot: RobotClient, component: str | None) -> str:
    """The name of the recorder to use; None as `component` stands for the only one.

    Raises:
        RequestError: there is no such camera, or there are several recorders.
        MachineError: there is none.
    """
    cameras = [
        name.name
        for name in robot.resource_names
        if (name.namespace, name.type, name.subtype) == ("rdk", "component", "camera")
    ]
    among = f"its cameras are {', '.join(cameras)}" if cameras else "it has no camera"
    if component is not None:
        if component not in cameras:
            raise RequestError("recorder-unknown", address=address, component=component, found=among)
        return component
    checked = await asyncio.gather(*(_is_recorder(address, robot, name) for name in cameras))
    found = [name for name, is_recorder in zip(cameras, checked, strict=True) if is_recorder]
    if len(found) == 1:
        return found[0]
    if found:
        raise RequestError("several-recorders", address=address, found=found)
    raise MachineError("no-recorder", address=address, found=among)


async def _is_recorder(address: str, robot: RobotClient, name: str) -> bool:
    """Whether a camera responds as a recorder does. A machine does not tell the models of its cameras."""
    try:
        with translated_errors(address, name, LOOK_S):
            camera = Camera.from_robot(robot, name)
            response = await camera.do_command({"command": "get-storage-state"}, timeout=LOOK_S)
        parse_state(response, name)
    except VideoStoreError:
        return False
    return True
