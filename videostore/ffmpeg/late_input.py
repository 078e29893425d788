"""An input of ffmpeg that is known only after ffmpeg has started.

Loading ffmpeg takes longer than copying a short clip. So it can be started early, and wait at its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib


class LateInput:
    """What one ffmpeg gets at its standard input, once it is known."""

    def __init__(self) -> None:
        self._known = asyncio.Event()
        self._data = b""

    def give(self, data: bytes) -> None:
        """Here it is: all of it."""
        self._data = data
        self._known.set()

    async def feed(self, writer: asyncio.StreamWriter) -> None:
        """Wait for it, and write it. That ffmpeg ends before is not noticed here."""
        try:
            await self._known.wait()
            with contextlib.suppress(ConnectionError):
                writer.write(self._data)
                await writer.drain()
        finally:
            writer.close()
