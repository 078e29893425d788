"""Pass on a clip of any size while it is being made: python examples/stream.py DIRECTORY FROM TO | ffplay -"""

from __future__ import annotations

import asyncio
import sys

from videostore import VideoStore


async def main(directory: str, start: str, end: str) -> None:
    async with VideoStore.open(directory) as store:
        async for block in store.stream(start, end):  # a fragmented MP4, block by block
            sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:4]))
