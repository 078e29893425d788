"""Whether all of a file was there to be read. ffmpeg takes the end of a file that is cut off for that of its video."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path

from videostore.base.constants import MIB
from videostore.media.cut_picture import is_last_cut_off
from videostore.media.file_end import is_cut_off
from videostore.media.packet import Packet
from videostore.sources.ffmpeg_messages import FFmpegMessages

_PARTS = frozenset({"t", "to", "ss", "sseof", "stream_loop"})
"""Options with which ffmpeg does not read a file from its beginning to its end."""
_WITHOUT_LENGTH = frozenset({"h264", "hevc", "mpegts", "mpeg"})
"""Formats that do not say how long they are. Of these the last picture tells."""
_LAST_BYTES = 32 * MIB


class Completeness:
    """What is missing of a file, as far as it can be known when all of it is read."""

    def __init__(self) -> None:
        self._last: deque[Packet] = deque()
        self._last_bytes = 0

    def passed(self, packet: Packet) -> None:
        """A frame of the file was passed on. Those from the last keyframe on are kept."""
        if packet.keyframe:
            self._last.clear()
            self._last_bytes = 0
        elif self._last and packet.captured_us < self._last[0].captured_us:  # it needs frames before the keyframe
            return
        self._last_bytes += len(packet.data)
        if self._last_bytes <= _LAST_BYTES:
            self._last.append(packet)

    async def missing(self, path: Path | None, options: frozenset[str], messages: FFmpegMessages) -> str:
        """What is missing, in words that follow "the input"; empty if nothing is, as far as is known."""
        loop = asyncio.get_running_loop()
        if path is not None and not options & _PARTS:
            try:
                if await loop.run_in_executor(None, is_cut_off, path):
                    return "is cut off: it is shorter than it says itself"
            except OSError as error:
                return f"cannot be read any more: {error.strerror}"
        if messages.incomplete:
            return f"is damaged or cut off (ffmpeg: {messages.incomplete})"
        if not messages.formats & _WITHOUT_LENGTH:
            return ""
        if await loop.run_in_executor(None, self._last_is_damaged):
            return "is cut off: its last picture is not complete"
        return ""

    def _last_is_damaged(self) -> bool:
        """Whether the last picture is cut off, as far as it can be known. Blocking."""
        if not self._last or self._last_bytes > _LAST_BYTES:
            return False
        return is_last_cut_off(self._last[0].format.codec, [packet.data for packet in self._last])
