"""What records cameras as components: a module in a process of its own, with a `source` for each camera."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from scripts.fakes.viam_server import Parent
from tests.support.child_processes import command_of

SEGMENT_S = 2
_TIMEOUT_S = 90


class Components:
    """The recorders of one module. `run_components` makes it."""

    def __init__(self, parent: Parent, directory: Path) -> None:
        self._parent = parent
        self._directory = directory

    def storage(self, name: str) -> Path:
        """Where a camera is recorded."""
        return self._directory / name / "storage"

    async def add(self, name: str, url: str, transport: str = "tcp", **attributes: Any) -> None:
        """Record a camera."""
        upload, storage = self._directory / name / "upload", self.storage(name)
        paths = {"storage_path": str(storage), "upload_path": str(upload)}
        ours = {
            "source": url,
            "source_options": {"rtsp_transport": transport},
            "sync": "data-manager",
            "storage": {"size_gb": 1, "segment_seconds": SEGMENT_S, **paths},
            "video": {"preset": "ultrafast"},
        }
        await self._parent.add(name, {**ours, **attributes})

    async def remove(self, name: str) -> None:
        """End the recording of a camera: what came of it is in the directory."""
        await self._parent.remove(name)

    async def status(self, name: str) -> Any:
        """The health of a recorder."""
        return await self._parent.camera(name).get_status()

    async def until(self, name: str, condition: Callable[[Any], object]) -> Any:
        """The first status of a recorder that meets a condition."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not condition(status := await self.status(name)):
            assert time.monotonic() < deadline, f"{status} {self.said(name)}"
            await asyncio.sleep(0.05)
        return status

    async def until_told(self, name: str, reason: str) -> None:
        """Wait until the status says why a camera is not recorded."""
        await self.until(name, lambda status: not status["recording"] and reason in status["reason"])

    async def segments(self, name: str, count: int) -> Any:
        """Wait until so many further segments are closed."""
        goal = (await self.status(name))["stored_segments"] + count
        return await self.until(name, lambda status: status["stored_segments"] >= goal)

    def said(self, name: str) -> str:
        """What the module has logged of a recorder."""
        return "\n".join(line.message for line in self._parent.logs if line.logger.endswith(name))

    @property
    def all_said(self) -> str:
        """All that the module has logged and printed."""
        return "\n".join([*(line.message for line in self._parent.logs), *self._parent.module_output])

    @property
    def arguments(self) -> list[str]:
        """The arguments of all processes that the module runs."""
        return [word for child in self._parent.children() for word in command_of(child)]


@contextlib.asynccontextmanager
async def run_components(directory: Path) -> AsyncIterator[Components]:
    """A module that is ready, and has no recorder yet. It is ended at the end, with all that it started."""
    async with Parent() as parent:
        await parent.start_module()
        yield Components(parent, directory)
        await parent.terminate()
        assert not parent.leftovers()
