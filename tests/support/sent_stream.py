"""A camera that sends coded pictures in real time, as MPEG-TS over TCP, to each client from their beginning."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from tests.support.coded_stream import FPS, CodedPicture
from videostore.ffmpeg.process import end_process, find_ffmpeg


def write_stream(path: Path, codec: str, pictures: Sequence[CodedPicture]) -> None:
    """Write pictures into a file that can be sent. The first is a keyframe; others may be shown before it."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream: Any
        with av.open(io.BytesIO(pictures[0].data), format=codec) as keyframe:
            stream = container.add_stream_from_template(keyframe.streams.video[0], opaque=True)
        stream.time_base = Fraction(1, FPS)
        for number, one in enumerate(pictures):
            packet = av.Packet(one.data)
            packet.stream, packet.time_base = stream, Fraction(1, FPS)
            packet.pts, packet.dts = FPS + one.shown, FPS + pictures[0].shown + number - FPS // 3
            packet.is_keyframe = one.keyframe
            container.mux(packet)


@contextlib.asynccontextmanager
async def sending(path: Path) -> AsyncIterator[str]:
    """Send the file in real time to each client. Yields where."""
    send = [find_ffmpeg(), "-v", "quiet", "-re", "-i", str(path), "-c", "copy", "-f", "mpegts", "-flush_packets", "1"]
    serving: set[asyncio.Task[Any]] = set()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        process = await asyncio.create_subprocess_exec(*send, "pipe:1", stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                while block := await process.stdout.read(65536):
                    writer.write(block)
                    await writer.drain()
        finally:
            writer.close()
            await end_process(process)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
