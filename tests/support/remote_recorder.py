"""A recorder that is called as over the network, and whose responses hold little: for tests of clips in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.support.packets import RESOLUTION_MS
from tests.support.recording import H264, SIZE, FixedClock, record, take_over
from videostore.base.ranges import Range
from videostore.ffmpeg.encoder import Encoder
from videostore.remote.transfer import Transfer
from videostore.store.store import VideoStore


class Remote:
    """A recorder whose responses hold `limit_bytes`. It is called as it would be over the network."""

    def __init__(self, store: VideoStore, work: Path) -> None:
        self.limit_bytes = 24 << 20
        self.requested: list[Range] = []
        self.largest_bytes = 0
        self.shares: list[float] = []
        self.before: Callable[[int, int], None] = lambda from_us, to_us: None
        self.clock = FixedClock()
        self.older = False
        """Whether its clips do not tell their times, as those of older modules."""
        self._store = store
        self._work = work

    async def fetch(self, from_us: int, to_us: int, path: Path) -> tuple[Range, ...] | None:
        self.before(from_us, to_us)
        self.requested.append(Range(from_us, to_us))
        clip = await self._store.fetch(from_us, to_us, limit_bytes=self.limit_bytes)
        data = clip.data.replace(b"ldes", b"free") if self.older else clip.data
        await asyncio.to_thread(path.write_bytes, data)
        self.largest_bytes = max(self.largest_bytes, len(clip.data))
        return clip.ranges

    async def transfer(self, from_us: int, to_us: int) -> tuple[Path, tuple[Range, ...] | None]:
        """The clip of a range, and what it holds if it is not complete."""
        work = self._work / f"work{len(list(self._work.iterdir()))}"
        work.mkdir()
        transfer = Transfer(self.fetch, work, Range(from_us, to_us), self.shares.append, self.clock)
        await transfer.fetch()
        remaining = {path.name for path in work.iterdir()} - {"before.mp4", "bridge.mp4", "encoded.txt"}
        assert transfer.path.name in remaining, remaining
        assert not any(name.startswith("piece") for name in remaining), remaining
        return transfer.path, transfer.ranges

    async def both(self, from_us: int, to_us: int, limit: float) -> tuple[Path, Path]:
        """The clip of a range, fetched at once and in pieces. `limit` is in bytes, or a share of the whole clip."""
        self.limit_bytes = 24 << 20
        whole, ranges = await self.transfer(from_us, to_us)
        self.limit_bytes = int(limit if limit > 1 else (await asyncio.to_thread(whole.stat)).st_size * limit)
        self.requested.clear()
        joined, same = await self.transfer(from_us, to_us)
        assert ranges == same
        assert self.largest_bytes and len(self.requested) > 3
        return whole, joined


async def record_runs(
    directory: Path, *runs: list[int], encoder: Encoder = H264, sizes: tuple[tuple[int, int], ...] = ()
) -> Path:
    """Record some runs into a directory, each with its capture times. Returns the directory."""
    for number, times in enumerate(runs):
        await record(directory, times, size=sizes[number] if sizes else SIZE, encoder=encoder)
    await take_over(directory)
    return directory


def drift_limit_ms(machine: Remote) -> float:
    """Only clips of older modules, which do not tell their times, are joined by times that are rounded."""
    return RESOLUTION_MS * (len(machine.requested) if machine.older else 1)


def whole_bytes(directory: Path) -> int:
    """Of all segments in a directory."""
    return sum(path.stat().st_size for path in directory.glob("*.mp4"))
