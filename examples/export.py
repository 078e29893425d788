"""Write the clip of a range, of any size, to a file: python examples/export.py DIRECTORY FROM TO FILE"""

from __future__ import annotations

import asyncio
import sys

from videostore import VideoStore, VideoStoreError


async def main(directory: str, start: str, end: str, file: str) -> None:
    async with VideoStore.open(directory) as store:
        clip = await store.export(start, end, file, on_progress=lambda share: print(f"{share:.0%}", file=sys.stderr))
    print(clip.path)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:5]))
    except VideoStoreError as error:  # the file exists, nothing is stored there, …
        sys.exit(str(error))
