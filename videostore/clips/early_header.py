"""The header of a stream, sent before its first frame is decoded.

Where a range begins far behind a keyframe, all frames between must be decoded before the first one can be encoded. The
header does not depend on them: it is made of one frame near the keyframe. So players can prepare themselves meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from videostore.base.errors import VideoStoreError
from videostore.base.tasks import end_task, off_loop
from videostore.media.stream_header import header_bytes, tell_the_same

_ALONE_S = 1.0
"""How long a stream waits at most for its header to be encoded."""


class OtherHeaderError(Exception):
    """A stream has another header than was sent."""


async def header_of(blocks: AsyncGenerator[bytes, None]) -> bytes:
    """The header with which a fragmented MP4 begins. Its blocks are closed.

    Raises:
        VideoStoreError: it cannot be made.
        ValueError: it has none.
    """
    begun = b""
    async with contextlib.aclosing(blocks):
        async for block in blocks:
            begun += block
            if (size := header_bytes(begun)) is not None:
                return begun[:size]
    raise ValueError("it has no fragment")


async def header_first(
    making: AsyncGenerator[bytes, None] | None, blocks: AsyncGenerator[bytes, None], encoded: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    """Yield a fragmented MP4 block by block, and the header that `making` makes before it, if that is sooner than its
    first block. The processors are the header's until what it is made of is `encoded`.

    Raises:
        OtherHeaderError: it has another header than was yielded before it, or none.
        VideoStoreError: what `blocks` raises.
    """
    header = asyncio.ensure_future(header_of(making)) if making is not None else None
    first: asyncio.Task[bytes | None] | None = None
    told = b""
    try:
        if header is not None:
            await _encoded_or_over(header, asyncio.create_task(encoded.wait()), within_s=_ALONE_S)
        first = asyncio.ensure_future(_next(blocks))
        if header is not None:
            await asyncio.wait((header, first), return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                with contextlib.suppress(VideoStoreError, ValueError, OSError):  # what makes the stream tells why
                    told = await header
                if told:
                    yield told
            await end_task(header)
        begun, block = b"", await first
        if told:
            while block is not None and len(begun) + len(block) < len(told):
                begun, block = begun + block, await _next(blocks)
            begun += block or b""
            if len(begun) < len(told) or not await off_loop(tell_the_same, begun[: len(told)], told):
                raise OtherHeaderError
            block = begun[len(told) :]
        if block is not None:
            yield block
        while (block := await _next(blocks)) is not None:
            yield block
    finally:
        for task in (header, first):
            if task is not None:
                await end_task(task)
                task.cancelled() or task.exception()  # asyncio logs an error that is never retrieved


async def _encoded_or_over(header: asyncio.Task[bytes], encoded: asyncio.Task[Any], *, within_s: float) -> None:
    try:
        await asyncio.wait((header, encoded), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_task(encoded)


async def _next(blocks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(blocks, None)
