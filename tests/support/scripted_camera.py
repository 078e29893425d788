"""A Viam camera that gives the answers a test has prepared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from viam.components.camera import Camera
from viam.errors import NotSupportedError
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.common import ResponseMetadata

from tests.support.recording import SMALL, START_US, picture

Answer = tuple[list[NamedImage], ResponseMetadata]
JPEG = CameraMimeType.JPEG


class ScriptedCamera(Camera):
    """Gives the prepared answers, one to each request, then waits for more."""

    def __init__(self, *script: Answer | Exception | Callable[[], Awaitable[Answer]]) -> None:
        super().__init__("cam")
        self.script = list(script)
        self.filters: list[Sequence[str] | None] = []
        self.under_way = 0

    async def get_images(
        self,
        *,
        filter_source_names: Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Answer:
        self.filters.append(filter_source_names)
        self.under_way += 1
        try:
            step = self.script.pop(0) if self.script else hang
            if isinstance(step, Exception):
                raise step
            return step if isinstance(step, tuple) else await step()
        finally:
            self.under_way -= 1

    async def get_properties(self, *, timeout: float | None = None, **kwargs: Any) -> Camera.Properties:
        return Camera.Properties()

    async def get_point_cloud(self, **kwargs: Any) -> tuple[bytes, str]:
        raise NotSupportedError("no point clouds")


async def hang() -> Answer:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


def answer(captured_us: int | None, data: bytes | None = None, *names: str) -> Answer:
    """An answer with one image for each name. The image differs for each capture time."""
    metadata = ResponseMetadata()
    if captured_us is not None:
        metadata.captured_at.FromMicroseconds(captured_us)
    content = picture(captured_us or START_US, SMALL) if data is None else data
    return [NamedImage(name, content, JPEG) for name in names or ("color",)], metadata
