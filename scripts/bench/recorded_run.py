"""A run that the benchmarks record with the module's own parts, as fast as ffmpeg can."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from videostore.ffmpeg.encoder import Encoder
from videostore.media.packet import Packet
from videostore.recording.run import Run


async def record_run(
    packets: Sequence[Packet], directory: Path, encoder: Encoder, *, binary: str, segment_seconds: float
) -> None:
    """Record the packets to their end. The segments keep their open names. Raises FFmpegError."""
    run = await Run.start(
        packets[0],
        binary=binary,
        encoder=encoder,
        directory=directory,
        segment_seconds=segment_seconds,
        logger=logging.getLogger("bench"),
    )
    try:
        for packet in packets:
            await run.write(packet)
        await run.finish()
    finally:
        await run.kill()
