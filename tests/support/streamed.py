"""What a stream of the store sends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator


async def taken(blocks: AsyncGenerator[bytes, None]) -> bytes:
    """All of it; the stream is closed then."""
    async with contextlib.aclosing(blocks):
        return b"".join([block async for block in blocks])
