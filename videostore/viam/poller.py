"""Requests images from a camera, one after the other, and dates each."""

from __future__ import annotations

import asyncio
import logging
import re
import statistics
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from grpclib.exceptions import GRPCError, StreamTerminatedError
from viam.components.camera import Camera
from viam.media.video import NamedImage
from viam.proto.common import ResponseMetadata

from videostore.base.clock import Clock, SteadyClock
from videostore.base.constants import (
    CAMERA_PATIENCE_S,
    CAMERA_SILENCE_S,
    CAMERA_SLOW_FACTOR,
    US_PER_SECOND,
)
from videostore.base.error_text import plain_text
from videostore.base.errors import shown
from videostore.base.tasks import end_task
from videostore.media.images import BadPictureError, read_picture
from videostore.media.packet import Gap, Packet, StreamFormat
from videostore.media.png import SIGNATURE as PNG_SIGNATURE
from videostore.viam.capture_dates import CaptureDates

CAMERA_ERROR_GAP_S = 1.0
"""Errors or garbage for this long make a gap, since the last image must not appear to last so long."""

CAMERA_REASON_LASTS_S = 10.0
"""Another fault replaces the reason of a gap when it has been the only one for this long: a camera that comes back, or
has several faults in turn, tells each for a moment."""

CAMERA_RETRY_S = 0.2
"""Pause after an error, so that a broken camera causes no busy loop."""

_DAMAGED_BEFORE_PAUSE = 3
"""Damaged images in a row before the pause."""

_READ_AT_ONCE_BYTES = 1 << 20
"""A JPEG of 1 MiB is read in 0.7 ms; a PNG is decompressed for it, which takes 6 ms at 1280x720."""

_INTERVALS = 8
"""Number of frame intervals whose median is the camera's usual interval."""


_FIGURES = re.compile(r"[0-9]+")
_NAMES_TOLD = 10
"""Images of one response whose names are told: a camera may send any number."""


class CameraError(Exception):
    """The camera's response has no image to record."""


@dataclass(frozen=True, slots=True)
class LatestImage:
    """The latest image of the source, as the camera sent it."""

    image: NamedImage
    metadata: ResponseMetadata
    captured_us: int
    """When it was captured, UTC."""
    width: int
    height: int


class FramePoller:
    """A `Source` of the images of a Viam camera. While it is iterated, it owns the pending requests."""

    def __init__(
        self, camera: Camera, source_name: str | None, framerate: int, clock: Clock, logger: logging.Logger
    ) -> None:
        """`framerate` is the highest number of requests per second."""
        self._camera = camera
        self._source_name = source_name
        self._interval_us = US_PER_SECOND // framerate
        self._clock = clock
        self._steady = SteadyClock(clock)
        self._logger = logger
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._received_us: int | None = None
        """When the last new image arrived, on the monotonic clock."""
        self._steps = 0
        self._dates = CaptureDates(camera.name, logger)
        self._fault: str | None = None
        self._gap_reported = False
        self._reported = ""
        """The reason of the current gap."""
        self._lasting = ("", 0)
        """The fault that comes now, without its figures, and since when it has been the only one."""
        self._warned_of_sources = False
        self._damaged = 0
        """How many images in a row were damaged."""
        self.latest: LatestImage | None = None
        self.faulty_frames = 0
        """How many images were not whole, and so were not yielded."""
        self.last_fault = ""
        """What was wrong with the last of them."""

    @property
    def fault(self) -> str | None:
        """What is wrong with the camera now; None while images arrive."""
        return self._fault

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        """Yield each new image once, and a gap when none has arrived for too long."""
        due_us = self._clock.monotonic_us()
        requests = _Requests(self._ask)
        try:
            while True:
                item = await self._next(requests)
                if item is not None:
                    yield item
                due_us = max(due_us + self._interval_us, self._clock.monotonic_us() - self._interval_us)
                pause_s = (due_us - self._clock.monotonic_us()) / US_PER_SECOND
                hurry = 0 < self._damaged < _DAMAGED_BEFORE_PAUSE  # the next image may be whole
                await asyncio.sleep(max(0.0, pause_s, CAMERA_RETRY_S if self._fault and not hurry else 0.0))
        finally:
            await requests.cancel()

    async def _next(self, requests: _Requests) -> Packet | Gap | None:
        try:
            response = await requests.first(CAMERA_SILENCE_S)
            if response is None:
                raise CameraError(f"camera {self._camera.name!r} does not answer")
            packet = await self._packet(*response)
        except CameraError as error:
            return self._failed(str(error))
        except BadPictureError as error:
            reason = f"camera {self._camera.name!r} sent {error}"
            self.faulty_frames, self.last_fault = self.faulty_frames + 1, reason
            damaged = self._damaged + 1
            gap, self._damaged = self._failed(reason), damaged
            return gap
        except (GRPCError, StreamTerminatedError, OSError, asyncio.TimeoutError) as error:
            return self._failed(f"camera {self._camera.name!r} returned an error: {_text(error)}")
        if packet is None:
            gap = self._gap(CAMERA_SILENCE_S, f"camera {self._camera.name!r} repeats its last image")
            self._fault = gap.reason if gap else self._fault
            return gap
        if self._gap_reported:
            self._logger.info("Camera %r is sending images again.", self._camera.name)
        self._fault, self._gap_reported, self._damaged = None, False, 0
        return packet

    async def _ask(self) -> _Response:
        names = [self._source_name] if self._source_name else None
        images, metadata = await self._camera.get_images(filter_source_names=names)
        return list(images), metadata

    async def _packet(self, images: list[NamedImage], metadata: ResponseMetadata) -> Packet | None:
        """The image as a packet; None if it is the same as the one before."""
        image = self._choose(images)
        arrival_us = self._steady.now_us()
        if self._steps != self._steady.steps:  # times from before a step of the clock cannot be compared
            self._steps = self._steady.steps
            self._dates.forget()
        captured_at_us = _captured_at_us(metadata) if metadata.HasField("captured_at") else 0
        last = self.latest
        if (
            captured_at_us
            and last is not None
            and captured_at_us == _captured_at_us(last.metadata)
            and image.data == last.image.data
        ):
            return None
        format, data = await _read(image.data)
        captured_us = self._dates.date(captured_at_us, arrival_us)
        received_us = self._clock.monotonic_us()
        if self._received_us is not None:
            self._intervals.append(received_us - self._received_us)
        self._received_us = received_us
        self.latest = LatestImage(image, metadata, captured_us, format.width, format.height)
        return Packet(format, data, captured_us)

    def _choose(self, images: list[NamedImage]) -> NamedImage:
        if not images:
            raise CameraError(f"camera {self._camera.name!r} sent no image")
        if self._source_name is None:
            if len(images) > 1 and not self._warned_of_sources:
                self._warned_of_sources = True
                self._logger.warning(
                    "Camera %r sends %d images at a time: %s. Recording the first one. Set the attribute"
                    " 'source_name' to the one to record.",
                    self._camera.name,
                    len(images),
                    _names(images),
                )
            return images[0]
        for image in images:
            if image.name == self._source_name:
                return image
        raise CameraError(f"camera {self._camera.name!r} has no source {self._source_name!r}, only {_names(images)}")

    def _failed(self, reason: str) -> Gap | None:
        self._fault, self._damaged = reason, 0
        return self._gap(CAMERA_ERROR_GAP_S, reason)

    def _gap(self, after_s: float, reason: str) -> Gap | None:
        """A gap, if no new image has arrived for longer than this camera usually takes. Reported once, and once more
        where another fault lasts."""
        now_us, kind = self._clock.monotonic_us(), _kind(reason)
        if self._lasting[0] != kind:
            self._lasting = kind, now_us
        if self._gap_reported:
            if kind == _kind(self._reported) or now_us - self._lasting[1] < CAMERA_REASON_LASTS_S * US_PER_SECOND:
                return None
            return self._made_gap(reason)
        usual_us = statistics.median(self._intervals) if self._intervals else 0
        patience_us = max(after_s * US_PER_SECOND, CAMERA_SLOW_FACTOR * usual_us)
        if self._received_us is not None and now_us - self._received_us < patience_us:
            return None
        return self._made_gap(reason)

    def _made_gap(self, reason: str) -> Gap:
        self._gap_reported, self._reported = True, reason
        self._logger.warning("Not recording: %s.", reason)
        return Gap(reason)


def _captured_at_us(metadata: ResponseMetadata) -> int:
    """The camera's own time, also one that no `Timestamp` may have: that is implausible, like any other."""
    return int(metadata.captured_at.seconds * US_PER_SECOND + metadata.captured_at.nanos // 1000)


def _kind(reason: str) -> str:
    """A reason without its figures, such as the size of a damaged image."""
    return _FIGURES.sub("", reason)


def _names(images: Sequence[NamedImage]) -> str:
    names = [shown(image.name) for image in images[:_NAMES_TOLD]]
    return ", ".join(names) + (" …" if len(images) > _NAMES_TOLD else "")


async def _read(data: bytes) -> tuple[StreamFormat, bytes]:
    """Read an image, in a thread if it takes long.

    Raises:
        BadPictureError: it is not whole.
    """
    if len(data) <= _READ_AT_ONCE_BYTES and not data.startswith(PNG_SIGNATURE):
        return read_picture(data)
    return await asyncio.get_running_loop().run_in_executor(None, read_picture, data)


_Response = tuple[list[NamedImage], ResponseMetadata]


class _Requests:
    """The pending requests to a camera: one, and a second one while the first gets no response."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, _Response]]) -> None:
        self._ask = ask
        self._tasks: list[asyncio.Task[_Response]] = []
        self._ahead = False
        """Whether the pending request was sent beside one that has been answered, and serves as the next one."""
        self._begun_s = 0.0
        """When the oldest one was sent, on the loop's clock."""

    async def first(self, within_s: float) -> _Response | None:
        """The first response, or None if there is none in time: the first request then stays, the second is renewed.

        The first one is renewed after `CAMERA_PATIENCE_S`. A deadline with each request would do the same, but costs
        0.1 ms for each image: it is sent along, and starts a timer.

        Raises:
            Exception: whatever the camera's client raised.
        """
        now_s = asyncio.get_running_loop().time
        if not self._ahead:
            if len(self._tasks) > 1:
                await self._drop(self._tasks.pop())
            self._begun_s = self._begun_s if self._tasks else now_s()
            self._tasks.append(asyncio.ensure_future(self._ask()))
        self._ahead = False
        done, _ = await asyncio.wait(self._tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            if now_s() - self._begun_s >= CAMERA_PATIENCE_S:
                await self._drop(self._tasks.pop(0))
                self._begun_s = now_s()
            return None
        self._begun_s = now_s()
        last = max(self._tasks.index(task) for task in done)
        earlier, self._tasks = self._tasks[:last], self._tasks[last + 1 :]
        self._ahead = bool(self._tasks)  # it may already have the next image
        for task in earlier:
            await self._drop(task)
        best = next((task for task in done if not task.cancelled() and task.exception() is None), None)
        chosen = best or done.pop()
        if chosen.cancelled():
            raise CameraError("the camera's client cancelled the request")
        return chosen.result()

    async def cancel(self) -> None:
        """Cancel all pending requests."""
        while self._tasks:
            await self._drop(self._tasks.pop())

    async def _drop(self, task: asyncio.Task[_Response]) -> None:
        await end_task(task)
        if not task.cancelled():
            task.exception()


def _text(error: BaseException) -> str:
    message = plain_text(error.message or "") if isinstance(error, GRPCError) else str(error)
    return " ".join((message or type(error).__name__).split())[:200]
