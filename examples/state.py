"""Show what a directory holds, even while it is being recorded to: python examples/state.py DIRECTORY"""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timezone

from videostore import VideoStore


async def main(directory: str) -> None:
    async with VideoStore.open(directory) as store:  # read-only: nothing in it is changed
        state = await store.state()
    for one in state.ranges:
        begin, end = (datetime.fromtimestamp(us / 1e6, timezone.utc) for us in (one.from_us, one.to_us))
        print(f"{begin.isoformat()} to {end.isoformat()}")
    print(f"{state.used_bytes} bytes; {state.device_free_bytes} are free")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1]))
