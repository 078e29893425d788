"""What the ffmpeg of a run says about its output: which frames it has decoded, and up to where it has written."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from videostore.recording.frame_tally import FrameTally


def report_arguments(*, copies: bool) -> tuple[str, ...]:
    """Global arguments: the report goes to ffmpeg's standard output, how far the output has come some times a second.

    What is copied is written at once, and comes with each beat: of two of them, one report is enough.
    """
    return "-progress", "pipe:1", "-stats_period", "0.9" if copies else "0.2"


_KEY = "videostore"
_LINE = re.compile(rb"^(?:frame:\d+ +pts:|(out_time_us)=)(-?\d+)", re.MULTILINE)
_BLOCK_BYTES = 1 << 16
_LINE_BYTES = 1 << 10
"""Of a longer line only the end is kept: no line that counts is so long."""


def report_frames(video: Any) -> Any:
    """A filter that prints each frame that comes out of the decoder, with its pts. It must be the first of a chain.

    `metadata` prints a frame only if it has an entry, so each is given one.
    """
    return video.filter("metadata", mode="add", key=_KEY, value=1).filter(
        "metadata", mode="print", key=_KEY, file="-", direct=1
    )


async def follow_report(stream: asyncio.StreamReader, epoch_us: int, tally: FrameTally, *, copies: bool) -> None:
    """Pass on to the tally what ffmpeg reports, until it exits. What is copied is not decoded, only written."""
    rest = b""
    while data := await stream.read(_BLOCK_BYTES):
        # All lines that have come, at once: a report of what is copied has twelve, of which one counts.
        lines, newline, rest = (rest + data).rpartition(b"\n")
        rest = rest[-_LINE_BYTES:]
        if not newline:
            continue
        for found in _LINE.finditer(lines):
            time_us = epoch_us + int(found[2])
            if found[1] is None:
                tally.came_out(time_us)
            else:
                if copies:
                    tally.came_out_until(time_us)
                tally.written_until(time_us)
