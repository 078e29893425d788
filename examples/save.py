"""Save a clip for the data manager to upload: python examples/save.py DIRECTORY UPLOAD_DIRECTORY FROM TO"""

from __future__ import annotations

import asyncio
import sys

from videostore import VideoStore


async def main(directory: str, upload_directory: str, start: str, end: str) -> None:
    async with VideoStore.open(directory, name="gate", upload_path=upload_directory) as store:
        clip = await store.save(start, end, metadata="seen by hand", tags=["person"])
    print(clip.path)  # it appears there complete


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:5]))
