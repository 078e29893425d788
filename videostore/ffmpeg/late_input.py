"""An input of ffmpeg that is known only after ffmpeg has started.

Loading ffmpeg takes longer than copying a short clip. So it can be started early, and wait at its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from videostore.base.tasks import off_loop


class LateInput:
    """What one ffmpeg gets at its standard input, once it is known."""

    def __init__(self) -> None:
        self._known = asyncio.Event()
        self._data = b""
        self._pieces: Iterator[bytes] | None = None

    def give(self, data: bytes) -> None:
        """Here it is: all of it."""
        self._data = data
        self._known.set()

    def give_pieces(self, pieces: Iterator[bytes]) -> None:
        """Here it is, piece by piece; each is taken, in a thread, when ffmpeg has read the one before."""
        self._pieces = pieces
        self._known.set()

    async def feed(self, writer: asyncio.StreamWriter) -> None:
        """Wait for it, and write it. That ffmpeg ends before is not noticed here."""
        try:
            await self._known.wait()
            with contextlib.suppress(ConnectionError):
                writer.write(self._data)
                await writer.drain()
                while self._pieces is not None and (piece := await off_loop(next, self._pieces, None)) is not None:
                    writer.write(piece)
                    await writer.drain()
        finally:
            writer.close()
