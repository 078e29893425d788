"""The source of a recorder while the machine has no such camera, or cannot build it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from videostore.media.packet import Gap


class AbsentCamera:
    """A `Source` that yields nothing but the reason. When the camera comes, viam-server has the recorder rebuilt."""

    latest: None = None
    """As `FramePoller.latest`."""

    def __init__(self, name: str) -> None:
        self._gap = Gap(f"camera {name!r} is missing or could not be built")

    @property
    def fault(self) -> str:
        """Why there is no image."""
        return self._gap.reason

    async def packets(self) -> AsyncIterator[Gap]:
        """Yield the reason, and wait for ever."""
        yield self._gap
        await asyncio.Event().wait()
