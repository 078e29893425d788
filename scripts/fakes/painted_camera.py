"""A Viam camera that paints the capture time into every image, and that a test can make fail.

What most tests use with it can be imported from here as well: the paint, and the comparison of a clip with it.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grpclib import GRPCError, Status
from viam.components.camera import Camera
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.common import ResponseMetadata

from scripts.fakes.clip_check import ClipCheck, check_clip, read_clip
from scripts.fakes.paint import PaintedFrame, paint, read_paint

__all__ = [
    "FAULTS",
    "ClipCheck",
    "PaintedCamera",
    "PaintedFrame",
    "check_clip",
    "paint",
    "read_clip",
    "read_paint",
    "undecodable",
]


FAULTS = frozenset({"error", "hang", "empty", "garbage", "truncated", "frozen"})


def undecodable(jpeg: bytes) -> bytes:
    """The same JPEG, which says that it is coded in a way that ffmpeg cannot decode: it complains about each."""
    data, at = bytearray(jpeg), 2
    while data[at + 1] not in (0xC0, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    data[at + 1] = 0xC9  # arithmetic coding
    return bytes(data)


class PaintedCamera(Camera):
    """A camera that waits for its next frame, as a real one does, and paints the capture time into it.

    These attributes can be changed while it runs: `interval` (seconds between two frames), `width`, `height`, `mime`,
    `reported_mime` (a wrong MIME type for the answers), `gray` (JPEG without colour), `alter` (changes the bytes of
    each image), `fault` and `report_captured_at`.
    Every source after the first has half the size, so that a recording shows which source it is from. `delivered`
    lists the capture time of every good frame that was returned, in microseconds since 1970; a frame's painted counter
    is its index in that list. A camera belongs to one event loop.
    """

    def __init__(
        self,
        name: str,
        *,
        width: int = 640,
        height: int = 360,
        sources: Sequence[str] = ("color",),
        mime: str = CameraMimeType.JPEG,
        interval: Callable[[], float] = lambda: 1 / 20,
        report_captured_at: bool = True,
    ) -> None:
        super().__init__(name)
        self.width = width
        self.height = height
        self.sources = tuple(sources)
        self.mime = mime
        self.reported_mime: str | None = None
        self.gray = False
        self.alter: Callable[[bytes], bytes] | None = None
        self.interval = interval
        self.report_captured_at = report_captured_at
        self.delivered: list[int] = []
        self.requests = 0
        self._fault: str | None = None
        self._fault_changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._due: float | None = None
        self._latest: tuple[float, list[NamedImage], ResponseMetadata] | None = None

    @property
    def fault(self) -> str | None:
        """The current fault: one of `FAULTS`, or None while the camera works."""
        return self._fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        if fault is not None and fault not in FAULTS:
            raise ValueError(f"{fault!r} is not one of the faults {sorted(FAULTS)}")
        self._fault = fault
        self._fault_changed.set()
        self._fault_changed = asyncio.Event()

    async def get_images(
        self,
        *,
        filter_source_names: Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> tuple[list[NamedImage], ResponseMetadata]:
        """Wait for the next frame, or return the newest one if the last request was longer ago than `interval`.

        Callers that wait at the same time get the same frame. `filter_source_names` is ignored, as by most cameras.
        """
        self.requests += 1
        requested = time.monotonic()
        async with self._lock:
            if self._latest and self._latest[0] >= requested and self.fault is None:
                return self._latest[1], self._latest[2]
            age = await self._frame_due()
            while self.fault == "hang":
                await self._fault_changed.wait()
                # Frames from before and during the hang are lost.
                self._due = None
                age = await self._frame_due()
            if self.fault is None:
                return self._capture(age)
            return self._faulty_answer(age)

    async def get_properties(self, *, timeout: float | None = None, **kwargs: Any) -> Camera.Properties:
        return Camera.Properties(supports_pcd=False, mime_types=[self.mime])

    async def get_point_cloud(
        self, *, extra: Mapping[str, Any] | None = None, timeout: float | None = None, **kwargs: Any
    ) -> tuple[bytes, str]:
        raise GRPCError(Status.UNIMPLEMENTED, f"camera {self.name} has no point cloud")

    async def _frame_due(self) -> float:
        """Wait until there is a frame that was not fetched yet. Returns the age of the newest frame in seconds."""
        now = time.monotonic()
        if self._due is None:
            self._due = now
            return 0.0
        due = self._due + self._interval_s()
        if due > now:
            await asyncio.sleep(due - now)
            self._due = time.monotonic()
            return 0.0
        # The sensor went on capturing between requests: find the time of its last frame.
        while (following := due + self._interval_s()) <= now:
            due = following
        self._due = due
        return now - due

    def _interval_s(self) -> float:
        return max(self.interval(), 0.001)

    def _capture(self, age: float) -> tuple[list[NamedImage], ResponseMetadata]:
        captured_us = (time.time_ns() - int(age * 1e9)) // 1000
        images = self._paint_all(captured_us)
        metadata = self._metadata(captured_us)
        self.delivered.append(captured_us)
        self._latest = (time.monotonic(), images, metadata)
        return images, metadata

    def _faulty_answer(self, age: float) -> tuple[list[NamedImage], ResponseMetadata]:
        captured_us = (time.time_ns() - int(age * 1e9)) // 1000
        metadata = self._metadata(captured_us)
        if self.fault == "empty":
            return [], metadata
        if self.fault == "garbage":
            return [NamedImage(name, random.randbytes(20_000), CameraMimeType.JPEG) for name in self.sources], metadata
        if self.fault == "truncated":
            images = self._paint_all(captured_us)
            return [NamedImage(image.name, image.data[: len(image.data) // 2], image.mime_type) for image in images], (
                metadata
            )
        if self.fault == "frozen":
            if self._latest is None:
                self._latest = (float("-inf"), self._paint_all(captured_us), metadata)
            return self._latest[1], self._latest[2]
        raise GRPCError(Status.UNAVAILABLE, f"camera {self.name} is out of order")

    def _paint_all(self, captured_us: int) -> list[NamedImage]:
        images = []
        mime = self.mime if self.reported_mime is None else self.reported_mime
        for position, name in enumerate(self.sources):
            width, height = (self.width // 4 * 2, self.height // 4 * 2) if position else (self.width, self.height)
            counter = len(self.delivered)
            data = paint(captured_us, counter, width=width, height=height, mime=self.mime, label=name, gray=self.gray)
            data = data if self.alter is None else self.alter(data)
            images.append(NamedImage(name, data, CameraMimeType.from_string(mime)))
        return images

    def _metadata(self, captured_us: int) -> ResponseMetadata:
        metadata = ResponseMetadata()
        if self.report_captured_at:
            metadata.captured_at.FromMicroseconds(captured_us)
        return metadata
