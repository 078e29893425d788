"""Record a source of images into a directory: python examples/record.py DIRECTORY [SECONDS]

The source is anything that yields packets: here an iterator that draws JPEG images at 10 frames per second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from fractions import Fraction

import av

from videostore import Gap, Packet, VideoStore, picture_packet

WIDTH, HEIGHT, RATE = 320, 180, 10


async def images(seconds: float) -> AsyncIterator[Packet | Gap]:
    """A gray image that gets brighter, ten times a second. The end of the iterator is the end of the recording."""
    coder = av.CodecContext.create("mjpeg", "w")
    coder.width, coder.height, coder.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
    coder.time_base = Fraction(1, RATE)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuvj420p")
        for plane, level in zip(frame.planes, (number * 2 % 256, 128, 128), strict=True):
            plane.update(bytes([level]) * plane.buffer_size)
        frame.pts = number
        for coded in coder.encode(frame):
            yield picture_packet(bytes(coded))  # captured now, unless a second argument says when
        number += 1
        await asyncio.sleep(1 / RATE)


async def main(directory: str, seconds: float) -> None:
    async with VideoStore.record(directory, images(seconds), size_gb=1, segment_seconds=2) as store:
        await store.ended()
        state = await store.state()
    for one in state.ranges:
        print(f"recorded {(one.to_us - one.from_us) / 1e6:.1f} s")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 10))
