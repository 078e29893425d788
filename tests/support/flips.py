"""Single damaged bits of a segment, as real disks have them: in its header, and in the boxes of its first fragment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def _flip(data: bytes, at: int, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[at] ^= bit
    return bytes(damaged)


FLIPS: dict[str, Callable[[bytes], bytes]] = {
    "mdhd name": lambda data: _flip(data, data.index(b"mdhd"), 0x01),
    "timescale": lambda data: _flip(data, data.index(b"mdhd") + 4 + 12 + 1, 0x10),
    "trun name": lambda data: _flip(data, data.index(b"trun"), 0x01),
    "trun duration": lambda data: _flip(data, data.index(b"trun") + 20, 0x80),
    "trun duration by half a second": lambda data: _flip(data, data.index(b"trun") + 4 + 12 + 1, 0x08),
    "prft by hours": lambda data: _flip(data, data.index(b"prft") + 4 + 8 + 2, 0x40),
    "prft by years": lambda data: _flip(data, data.index(b"prft") + 4 + 8, 0x01),
    "prft by half a second": lambda data: _flip(data, data.index(b"prft") + 4 + 8 + 4, 0x80),
    "prft name": lambda data: _flip(data, data.index(b"prft"), 0x01),
    "prft length": lambda data: _flip(data, data.index(b"prft") - 1, 0x40),
    "moof name": lambda data: _flip(data, data.index(b"moof"), 0x01),
    "moof length": lambda data: _flip(data, data.index(b"moof") - 2, 0x01),
    "mdat length": lambda data: _flip(data, data.index(b"mdat") - 2, 0x02),
    "mdat length beyond the file": lambda data: _flip(data, data.index(b"mdat") - 4, 0x40),
    "tfdt": lambda data: _flip(data, data.rindex(b"tfdt") + 8 + 5, 0x02),
}
"""What each damages. The images stay untouched."""

HEADER_FLIPS = ("mdhd name", "timescale")
"""After these nothing can be read."""


def flip(path: Path, name: str) -> None:
    """Damage a file in place."""
    path.write_bytes(FLIPS[name](path.read_bytes()))
