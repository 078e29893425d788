"""A recorder without a recording: its responses and errors are prepared by a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpclib.client import Channel
from viam.components.camera.client import CameraClient

from scripts.fakes.machine import ForwardedCamera

STATE = {
    "command": "get-storage-state",
    "stored_video": [{"from": "2024-08-30_06-40-00Z", "to": "2024-08-30_06-40-07Z"}],
    "disk_usage": {
        "storage_path": "/data",
        "storage_used_gb": 0.5,
        "storage_limit_gb": 1.0,
        "device_storage_remaining_gb": 20.0,
    },
}


class FakeRecorder(ForwardedCamera):
    """Responds to a fetch with what is in `answers`, and to any other command with a state of the storage."""

    def __init__(self, name: str = "store") -> None:
        super().__init__(CameraClient(name, Channel()))

    async def do_command(
        self, command: Mapping[str, Any], *, timeout: float | None = None, **kwargs: Any
    ) -> Mapping[str, Any]:
        if command["command"] != "fetch":
            return STATE
        return await super().do_command(command, timeout=timeout)
