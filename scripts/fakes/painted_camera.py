"""A synthetic Viam camera that paints its clock into every frame, and the way to read that clock back.

The paint is what makes a recording checkable: each frame carries the moment it was captured, so a clip can be compared
with what the camera really delivered, frame by frame. The same moment stands in the picture as text, for a person.

The machine-readable part is a grid of black and white squares of 16 x 16 pixels from the top left corner on, row by row
over the full width: 56 bits of capture time (microseconds since the Unix epoch), 24 bits of frame counter, 8 bits of
CRC. A square is a macroblock of H.264, so even a starved encoder keeps its mean brightness.
"""

import asyncio
import functools
import io
import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import av
import numpy
from grpclib import GRPCError, Status
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from viam.components.camera import Camera
from viam.media.viam_rgba import RGBA_MAGIC_NUMBER
from viam.media.video import CameraMimeType, NamedImage
from viam.proto.common import ResponseMetadata

SQUARE = 16
TIME_BITS, COUNTER_BITS, CRC_BITS = 56, 24, 8
PAINT_BITS = TIME_BITS + COUNTER_BITS + CRC_BITS
FAULTS = frozenset({"error", "hang", "empty", "garbage", "truncated", "frozen"})

# A picture that carries no paint passes an 8-bit CRC once in 256 times; one that also shows a time of this century
# does so once in some thousands.
_EARLIEST_US = int(datetime(2020, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000
_LATEST_US = int(datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp()) * 1_000_000


@dataclass(frozen=True)
class PaintedFrame:
    """What one frame says of itself: capture time in microseconds since the Unix epoch, and the frame counter."""

    captured_us: int
    counter: int


@dataclass(frozen=True)
class ClipCheck:
    """How the frames that a clip shows compare with those a camera delivered; times in µs since the Unix epoch.

    `missing_inside` are frames delivered between the first and the last one shown, `missing_before` and `missing_after`
    those of the range that lie outside of them. `drift_ms` is the largest distance between the time at which a player
    shows a frame and the one at which it was captured, both counted from the clip's first frame; it means nothing when
    the range has a gap.
    """

    shown: int
    unreadable: int
    doubled: int
    out_of_order: int
    outside: tuple[int, ...]
    unknown: tuple[int, ...]
    missing_before: tuple[int, ...]
    missing_inside: tuple[int, ...]
    missing_after: tuple[int, ...]
    first_us: int | None
    last_us: int | None
    drift_ms: float

    @property
    def flawless(self) -> bool:
        """Whether the clip shows every frame of the range once, in order, and no other one."""
        flaws = (self.unreadable, self.doubled, self.out_of_order, self.outside, self.unknown)
        return not any((*flaws, self.missing_before, self.missing_inside, self.missing_after)) and self.shown > 0


class PaintedCamera(Camera):
    """A camera that waits for its next frame, as a real one does, and paints the moment of capture into it.

    Settable while it runs: `interval` (seconds from one frame to the next), `width`, `height`, `mime`, `reported_mime`
    (what answers call the bytes, where that is wrong), `gray` (JPEG without colour), `fault` and `report_captured_at`.
    Of several sources, each one after the first has half the size, so that a recording shows which of them it was made
    of.
    `delivered` lists the capture time of every good frame handed out, in µs since the Unix epoch; a frame's painted
    counter is its index in that list. Belongs to one event loop.
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
        """What is wrong with the camera: one of `FAULTS`, or None while it works."""
        return self._fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        if fault is not None and fault not in FAULTS:
            raise ValueError(f"{fault!r} is none of the faults {sorted(FAULTS)}")
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
        """Waits for the next frame; if the last one was fetched longer ago than `interval`, gives the newest.

        Callers that wait at the same time get the same frame. `filter_source_names` is ignored, as most cameras do.
        """
        self.requests += 1
        asked = time.monotonic()
        async with self._lock:
            if self._latest and self._latest[0] >= asked and self.fault is None:
                return self._latest[1], self._latest[2]
            age = await self._frame_due()
            while self.fault == "hang":
                await self._fault_changed.wait()
                # What was captured before and during the hang is gone.
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
        """Waits until the sensor has a frame that nobody fetched yet; gives the age of the newest one in seconds."""
        now = time.monotonic()
        if self._due is None:
            self._due = now
            return 0.0
        due = self._due + self._interval_s()
        if due > now:
            await asyncio.sleep(due - now)
            self._due = time.monotonic()
            return 0.0
        # The sensor ran on while nobody asked: find the last moment at which it took a frame.
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
            images.append(NamedImage(name, data, CameraMimeType.from_string(mime)))
        return images

    def _metadata(self, captured_us: int) -> ResponseMetadata:
        metadata = ResponseMetadata()
        if self.report_captured_at:
            metadata.captured_at.FromMicroseconds(captured_us)
        return metadata


def paint(
    captured_us: int,
    counter: int,
    *,
    width: int = 640,
    height: int = 360,
    mime: str = CameraMimeType.JPEG,
    label: str = "",
    gray: bool = False,
) -> bytes:
    """Paints one frame and encodes it as JPEG, PNG or raw Viam RGBA; `captured_us` is µs since the Unix epoch.

    A `gray` picture has one channel, brightness, where the encoding knows such a thing: raw RGBA does not.

    Raises ValueError where the paint does not fit into the frame, or for another `mime`.
    """
    image = _background(width, height).copy()
    _paint_moving(image, captured_us)
    _paint_text(image, captured_us, counter, label)
    image.paste(_squares(captured_us, counter, width))
    return _encode(image.convert("L") if gray else image, mime)


def read_paint(gray: NDArray[Any], painted: tuple[int, int] | None = None) -> PaintedFrame | None:
    """Reads the paint out of a picture's brightness (rows x columns, 0–255 or 16–235); None where it is not legible.

    `painted` is the (width, height) at which the frame was painted, where it was scaled since; bars are assumed where
    the proportions differ.
    """
    height, width = gray.shape
    try:
        rows, columns = _sample_points(width, height, painted or (width, height))
    except ValueError:
        return None
    means = gray[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))
    value = int.from_bytes(numpy.packbits(means > 128).tobytes(), "big")
    body, crc = value >> CRC_BITS, value & 0xFF
    captured_us, counter = body >> COUNTER_BITS, body & ((1 << COUNTER_BITS) - 1)
    if crc != _crc8(body) or not _EARLIEST_US <= captured_us < _LATEST_US:
        return None
    return PaintedFrame(captured_us, counter)


def read_clip(
    clip: str | Path | bytes, painted: Sequence[tuple[int, int]] = ()
) -> list[tuple[float, PaintedFrame | None]]:
    """Decodes a video; for every frame that a player shows, the time in seconds at which it does so, and its paint.

    Frames before the start of the edit list do not count as shown: the decoder leaves them out. `painted` are further
    frame sizes to try, for clips that were scaled. Blocking.
    """
    source = io.BytesIO(clip) if isinstance(clip, bytes) else str(clip)
    shown: list[tuple[float, PaintedFrame | None]] = []
    with av.open(source) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            if frame.pts is None or frame.time is None:
                raise ValueError("a frame of the clip has no time")
            gray = _luma(frame)
            readings = (read_paint(gray, size) for size in (None, *painted))
            shown.append((frame.time, next((reading for reading in readings if reading), None)))
    return shown


def check_clip(
    shown: Sequence[tuple[float, PaintedFrame | None]], delivered: Sequence[int], from_us: int, to_us: int
) -> ClipCheck:
    """Compares what `read_clip` gave with `PaintedCamera.delivered`, for a clip of [from_us, to_us)."""
    read = [(seconds, frame.captured_us) for seconds, frame in shown if frame is not None]
    times = [captured for _, captured in read]
    first, last = (times[0], times[-1]) if times else (None, None)
    seen, known = set(times), set(delivered)
    missing = [captured for captured in delivered if from_us <= captured < to_us and captured not in seen]
    drift_s = [(seconds - read[0][0]) - (captured - times[0]) / 1e6 for seconds, captured in read]
    return ClipCheck(
        shown=len(shown),
        unreadable=len(shown) - len(read),
        doubled=len(times) - len(seen),
        out_of_order=sum(later < earlier for earlier, later in itertools.pairwise(times)),
        outside=tuple(captured for captured in times if not from_us <= captured < to_us),
        unknown=tuple(captured for captured in times if captured not in known),
        missing_before=tuple(captured for captured in missing if first is not None and captured < first),
        missing_inside=tuple(captured for captured in missing if first and last and first < captured < last),
        missing_after=tuple(captured for captured in missing if last is None or captured > last),
        first_us=first,
        last_us=last,
        drift_ms=max((abs(drift) * 1000 for drift in drift_s), default=0.0),
    )


def _squares(captured_us: int, counter: int, width: int) -> Image.Image:
    body = captured_us << COUNTER_BITS | counter & ((1 << COUNTER_BITS) - 1)
    value = body << CRC_BITS | _crc8(body)
    bits = numpy.unpackbits(numpy.frombuffer(value.to_bytes(PAINT_BITS // 8, "big"), numpy.uint8))
    per_row = width // SQUARE
    cells = numpy.zeros((-(-PAINT_BITS // per_row), per_row), numpy.uint8)
    cells.flat[:PAINT_BITS] = bits * 255
    return Image.fromarray(cells.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1))


@functools.lru_cache(maxsize=16)
def _sample_points(
    width: int, height: int, painted: tuple[int, int]
) -> tuple[NDArray[numpy.intp], NDArray[numpy.intp]]:
    """Rows and columns of 5 x 5 points around the centre of each square, in a picture of the given size."""
    per_row = painted[0] // SQUARE
    scale = min(width / painted[0], height / painted[1])
    if not per_row or SQUARE * scale < 5 or -(-PAINT_BITS // per_row) * SQUARE > painted[1]:
        raise ValueError(f"a frame of {width}x{height} cannot carry the paint")
    margin_x, margin_y = (width - painted[0] * scale) / 2, (height - painted[1] * scale) / 2
    cells = numpy.arange(PAINT_BITS)
    offsets = numpy.arange(-2, 3) * scale
    centre_x = margin_x + (cells % per_row * SQUARE + SQUARE / 2) * scale
    centre_y = margin_y + (cells // per_row * SQUARE + SQUARE / 2) * scale
    return (
        (centre_y[:, None] + offsets).astype(numpy.intp),
        (centre_x[:, None] + offsets).astype(numpy.intp),
    )


def _crc8(body: int) -> int:
    """CRC-8 (polynomial 0x07) of the 80 bits before it; starts at 0xff, so that an all-black grid is not valid."""
    crc = 0xFF
    for byte in body.to_bytes((TIME_BITS + COUNTER_BITS) // 8, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


@functools.lru_cache(maxsize=8)
def _background(width: int, height: int) -> Image.Image:
    """A still picture with gradients, waves and a little noise: work for the encoder, drawn once per frame size."""
    _sample_points(width, height, (width, height))
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    waves = 18 * numpy.sin(x / 9) * numpy.cos(y / 13)
    noise = numpy.random.default_rng(0).integers(-5, 6, (height, width))
    red = 70 + 90 * x / width + waves + noise
    green = 60 + 110 * y / height + noise
    blue = 140 - 70 * x / width + waves + noise
    return Image.fromarray(numpy.dstack((red, green, blue)).clip(0, 255).astype(numpy.uint8))


@functools.lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _paint_moving(image: Image.Image, captured_us: int) -> None:
    """A ball that crosses the lower part of the picture once in four seconds."""
    radius = image.height // 12
    x = int(captured_us % 4_000_000 / 4_000_000 * (image.width + 2 * radius)) - radius
    y = image.height - 2 * radius
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(240, 200, 40))


def _paint_text(image: Image.Image, captured_us: int, counter: int, label: str) -> None:
    seconds, fraction_us = divmod(captured_us, 1_000_000)
    local = datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
    size = max(10, min(image.height // 8, image.width // 14))
    draw = ImageDraw.Draw(image)
    # Text is the dearest part of the painting: one plate behind it costs less than an outline.
    top = image.height // 2 - size // 2
    draw.rectangle((0, top - size // 4, image.width, top + 2 * size + size // 4), fill=(20, 20, 20))
    draw.text((size // 2, top), f"{local}.{fraction_us // 1000:03d}", fill=(255, 255, 255), font=_font(size))
    draw.text((size // 2, top + size + size // 4), f"{label} #{counter}", fill=(180, 180, 180), font=_font(size // 2))


def _encode(image: Image.Image, mime: str) -> bytes:
    if mime == CameraMimeType.VIAM_RGBA:
        header = RGBA_MAGIC_NUMBER + image.width.to_bytes(4, "big") + image.height.to_bytes(4, "big")
        return header + image.convert("RGBA").tobytes()
    buffer = io.BytesIO()
    if mime == CameraMimeType.JPEG:
        image.save(buffer, "JPEG", quality=85)
    elif mime == CameraMimeType.PNG:
        image.save(buffer, "PNG", compress_level=1)
    else:
        raise ValueError(f"{mime!r} cannot be painted; image/jpeg, image/png and image/vnd.viam.rgba can")
    return buffer.getvalue()


def _luma(frame: av.VideoFrame) -> NDArray[Any]:
    if not frame.format.name.startswith(("yuv", "nv12", "gray")) or frame.format.components[0].bits != 8:
        return frame.to_ndarray(format="gray")
    plane = frame.planes[0]
    lines: NDArray[Any] = numpy.frombuffer(memoryview(plane), numpy.uint8).reshape(-1, plane.line_size)
    return lines[: frame.height, : frame.width]
