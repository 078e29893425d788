"""Record a file, a device or a stream into a directory: python examples/record_input.py INPUT DIRECTORY

INPUT is anything that ffmpeg can open: visit.mp4, rtsp://camera/stream … H.264 and H.265 are not re-encoded.
"""

from __future__ import annotations

import asyncio
import sys

from videostore import FFmpegInput, VideoStore


async def main(input: str, directory: str) -> None:
    source = await FFmpegInput.open(input)
    if source.info is not None:
        print(source.info.codec, "re-encoded" if source.info.reencoded else "copied")
    async with VideoStore.record(directory, source, size_gb=1, codec="copy", live=source.live) as store:
        await store.ended()  # the end of a file; with a stream, Ctrl-C finishes the last segment


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], sys.argv[2]))
