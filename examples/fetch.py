"""Get the clip of a range as bytes: python examples/fetch.py DIRECTORY FROM TO FILE

FROM and TO are times such as 2026-11-22T02:50:00Z, 02:50 or -5m. TO can be relative to FROM, such as +30s.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from videostore import NothingStoredError, VideoStore


async def main(directory: str, start: str, end: str, file: str) -> None:
    async with VideoStore.open(directory) as store:
        try:
            clip = await store.fetch(start, end)
        except NothingStoredError as error:
            sys.exit(str(error))  # it names the nearest stored range, which is also error.nearest
    Path(file).write_bytes(clip.data)
    for one in clip.ranges or ():  # None unless part of the range is missing
        print(f"holds {one.from_us} to {one.to_us}")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:5]))
