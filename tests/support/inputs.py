"""Inputs of ffmpeg for the tests: a network camera, a source whose packets are kept, and stores that record it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import pytest

from scripts.fakes.clip_check import luma
from scripts.fakes.painted_camera import paint, read_paint
from tests.support.coding import GOP, Painter
from tests.support.recording import H264, LOGGER, SMALL, US, until
from videostore.base.clock import SystemClock
from videostore.base.errors import RequestError
from videostore.config import StorageConfig
from videostore.ffmpeg.encoder import Encoder
from videostore.media.fmp4 import read_fragments
from videostore.media.packet import Gap, Packet
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.store.store import VideoStore

LENGTH_S = 1.6

# On a busy machine frames come in bursts: at 1 Mbit/s each would get too few bits for its paint to be readable.
_HIGH_BITRATE = replace(H264, bitrate=20_000_000)


def open_input(name: str | Path, binary: str, **settings: Any) -> FFmpegInput:
    """An input that re-encodes at a bitrate at which every image stays readable."""
    return FFmpegInput(str(name), binary=binary, encoder=_HIGH_BITRATE, logger=LOGGER, **settings)


class Tap:
    """Passes on what a source yields, and keeps it."""

    def __init__(self, source: FFmpegInput) -> None:
        self._source = source
        self.packets_seen: list[Packet] = []
        self.gaps: list[Gap] = []

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        async with contextlib.aclosing(self._source.packets()) as items:  # type: ignore[type-var]
            async for item in items:
                (self.packets_seen if isinstance(item, Packet) else self.gaps).append(item)  # type: ignore[arg-type]
                yield item

    @property
    def times_us(self) -> list[int]:
        """Capture times of the packets."""
        return [packet.captured_us for packet in self.packets_seen]

    async def play(self) -> None:
        """Take everything that the source yields."""
        async for _ in self.packets():
            pass


@contextlib.asynccontextmanager
async def playing(source: Tap) -> AsyncIterator[asyncio.Task[None]]:
    """Plays a source in a task of its own."""
    task = asyncio.create_task(source.play())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass
class RecordedInput:
    """An input and the segments that a store recorded from it."""

    source: Tap
    segments: list[Path] = field(default_factory=list)

    @property
    def times_us(self) -> list[int]:
        """Capture times in the segments."""
        return [time_us for path in self.segments for time_us in read_fragments(path).times_us]


def store_of(source: Tap, directory: Path, binary: str, *, live: bool) -> VideoStore:
    """A store that copies what a source yields."""
    storage = StorageConfig(1, directory / "storage", directory / "upload", 1)
    return VideoStore(
        "cam",
        storage,
        source=source,
        live=live,
        encoder=Encoder.copy(20),
        binary=binary,
        clock=SystemClock(),
        logger=LOGGER,
    )


async def record_file(path: Path, directory: Path, binary: str, **settings: Any) -> RecordedInput:
    """Record a file to its end."""
    source = Tap(open_input(path, binary, **settings))
    store = store_of(source, directory, binary, live=False)
    await store.start()
    try:
        await asyncio.wait_for(store.ended(), 150)
    finally:
        await store.close()
    return RecordedInput(source, sorted((directory / "storage").glob("*.mp4")))


async def refusal(input: str | Path, binary: str, **settings: Any) -> str:
    """Why an input can never be recorded, as its probe says."""
    with pytest.raises(RequestError) as error:
        await open_input(input, binary, **settings).probe()
    return str(error.value)


def distances(times_us: Sequence[int]) -> list[int]:
    """The differences of neighbouring times."""
    return [later - earlier for earlier, later in itertools.pairwise(times_us)]


def painted_times(packets: Sequence[Packet]) -> list[int]:
    """The capture times that are painted into the images of packets."""
    context: Any = av.CodecContext.create(packets[0].format.codec, "r")
    context.options = {"threads": "1", "flags": "low_delay"}
    found = []
    for frame in [f for p in packets for f in context.decode(av.Packet(p.data))] + context.decode(None):
        paint = read_paint(luma(frame))
        assert paint is not None
        found.append(paint.captured_us)
    return found


@dataclass
class SteppedClock(SystemClock):
    """A clock that can be set."""

    ahead_us: int = 0

    def wall_us(self) -> int:
        return super().wall_us() + self.ahead_us


async def dated_alike(source: Tap, count: int, within_us: int, *, below_us: int = 1 << 62) -> list[int]:
    """Wait until so many frames in a row are dated by nearly the same more than is painted, one of them by less than a
    limit: how much that is of each.

    Where the first frame comes late, the dates approach the arrival frame by frame. On a machine that is busy the next
    frames are looked at; where dates follow the arrival, none are ever alike.
    """
    off_us: list[int] = []
    for seen in range(count, 60 * count, count // 2):
        await until(lambda seen=seen: len(source.packets_seen) >= seen)  # type: ignore[misc]
        # Those that were looked at together before are not decoded again.
        keyframes = [n for n, one in enumerate(source.packets_seen[: max(1, seen - 2 * count)]) if one.keyframe]
        packets, dated_us = source.packets_seen[keyframes[-1] : seen], source.times_us[keyframes[-1] : seen]
        painted_us = await asyncio.to_thread(painted_times, packets)
        off_us = [dated - true for dated, true in zip(dated_us, painted_us, strict=True)]
        for alike in (off_us[first : first + count] for first in range(len(off_us) - count + 1)):
            if max(alike) - min(alike) < within_us and min(alike) < below_us:
                return alike
    raise AssertionError(off_us)


class NetworkCamera:
    """Serves painted images over TCP, from the start of the stream for each client: as an MPEG transport stream, or in
    another format. `mpjpeg` are JPEGs over HTTP, as from many webcams; these and bare `h264` have no times."""

    def __init__(
        self, codec: str = "h264", *, fps: float = 20, b_frames: int = 0, gop: int = GOP, format: str = "mpegts"
    ) -> None:
        self.codec = codec
        self.format = format
        self.gop = gop
        self.fps = fps
        self.b_frames = b_frames
        self.delivered: list[int] = []
        """Capture times of the images that were sent."""
        self.clients = 0
        self.sending = asyncio.Event()
        """Cleared, it stays connected without sending anything."""
        self.sending.set()
        self.delay_s: Callable[[int], float] = lambda number: 0.0
        """How long the frame of this number is delayed."""
        self.ahead_us = 0
        """How far the stream's timestamps are ahead of where they started."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'http' if self.format == 'mpjpeg' else 'tcp'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Accept clients, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Pull the plug."""
        if self._server is not None:
            self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.clients += 1
        try:
            await (self._send_pictures(writer) if self.format == "mpjpeg" else self._send(writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._serving.discard(task)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        output = io.BytesIO()
        painter = Painter(self.codec, gop=self.gop, b_frames=self.b_frames)
        with av.open(output, "w", format=self.format, options={"flush_packets": "1"}) as container:
            stream = container.add_mux_stream(self.codec, rate=20, width=SMALL[0], height=SMALL[1])
            stream.time_base = painter.context.time_base
            began = time.monotonic()
            began_us = time.time_ns() // 1000
            for number in itertools.count():
                due = began + number / self.fps
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                captured_us = began_us + round((time.monotonic() - began) * US)
                pts = captured_us - began_us + self.ahead_us
                for one in await asyncio.to_thread(painter.code, captured_us, pts):
                    one.stream = stream
                    container.mux(one)
                await asyncio.sleep(self.delay_s(number))
                await self.sending.wait()
                writer.write(output.getvalue())
                output.seek(0)
                output.truncate()
                await writer.drain()
                self.delivered.append(captured_us)

    async def _send_pictures(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n")
        began = time.monotonic()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, began + number / self.fps - time.monotonic()))
            captured_us = time.time_ns() // 1000
            data = await asyncio.to_thread(paint, captured_us, number, width=SMALL[0], height=SMALL[1])
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            writer.write(head.encode() + data + b"\r\n")
            await writer.drain()
            self.delivered.append(captured_us)
