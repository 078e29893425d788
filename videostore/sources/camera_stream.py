"""A camera's own stream as the source of a recorder that runs without end, and the newest picture of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from videostore.base.constants import NOTHING_YET
from videostore.media.packet import Gap, Packet
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.sources.still import still


class CameraStream:
    """A `Source` that passes on what an input yields, and keeps its newest keyframe."""

    def __init__(self, input: FFmpegInput, binary: str) -> None:
        """`binary` is the ffmpeg that decodes the keyframe when it is asked for."""
        self._input = input
        self._binary = binary
        self._decoding = asyncio.Lock()
        self._decoded: tuple[Packet, bytes] | None = None
        self.keyframe: Packet | None = None
        """The newest keyframe; None before the first."""
        self.fault: str | None = NOTHING_YET
        """Why nothing arrives; None while frames do."""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        """Yield what the input yields."""
        async with contextlib.aclosing(self.batches()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                for item in batch:
                    yield item

    async def batches(self) -> AsyncIterator[Sequence[Packet | Gap]]:
        """Yield the same, what comes together at once."""
        async with contextlib.aclosing(self._input.batches()) as batches:  # type: ignore[type-var]
            async for batch in batches:
                for item in batch:
                    if isinstance(item, Gap):
                        self.fault = item.reason
                    else:
                        self.fault = None
                        if item.keyframe:
                            self.keyframe = item
                yield batch

    async def still(self) -> tuple[Packet, bytes] | None:
        """The newest keyframe, and the JPEG of it; None before the first.

        Each is decoded at most once, when it is asked for.

        Raises:
            FFmpegError: it cannot be decoded.
        """
        async with self._decoding:
            keyframe = self.keyframe
            if keyframe is None:
                return None
            if self._decoded is None or self._decoded[0] is not keyframe:
                self._decoded = keyframe, await still(self._binary, keyframe)
            return self._decoded
