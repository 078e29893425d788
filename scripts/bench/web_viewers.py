"""Viewers that fetch parts of segments as fast as they get them: `web_viewers BASE VIEWERS SECONDS`.

A process of its own, so that it costs what is measured nothing but its turn. The parts come by standard input.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit


async def view(base: str, parts: Sequence[tuple[str, str]], until: float, first: int) -> tuple[int, int]:
    """Fetch parts over one connection; returns how many, and their bytes."""
    address = urlsplit(base)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 22)
    requests = size_bytes = 0
    while time.monotonic() < until:
        name, asked = parts[(first + requests) % len(parts)]
        writer.write(f"GET {address.path}{name} HTTP/1.1\r\nHost: {address.netloc}\r\nRange: {asked}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if " 206 " not in head.partition("\r\n")[0]:
            raise RuntimeError(head)
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        while length:
            block = await reader.read(min(length, 1 << 20))
            length -= len(block)
            size_bytes += len(block)
        requests += 1
    writer.close()
    return requests, size_bytes


async def main() -> None:
    """Run the viewers, and write the sums of what they got."""
    base, viewers, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    parts = [(name, asked) for name, asked in json.load(sys.stdin)]
    until = time.monotonic() + seconds
    found = await asyncio.gather(*(view(base, parts, until, number) for number in range(viewers)))
    print(json.dumps([sum(one for one, _ in found), sum(one for _, one in found)]))


if __name__ == "__main__":
    asyncio.run(main())
