"""Bits of a NAL unit: read field by field, without or with its emulation prevention (ITU-T H.264, 7.3 and 7.4.1)."""

from __future__ import annotations

import re

_TO_ESCAPE = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_LONGEST_CODE = 32


def unescape(unit: bytes) -> bytes:
    """The unit without the bytes that keep start codes out of it."""
    return unit.replace(b"\0\0\3", b"\0\0")


def escape(unit: bytes) -> bytes:
    """The unit with the bytes that keep start codes out of it."""
    return _TO_ESCAPE.sub(b"\0\0\3", unit)


class BitReader:
    """Reads fields from bytes, the most significant bit first."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        """`position` is that of the first bit."""
        self.data = data
        self.position = position

    def bits(self, count: int) -> int:
        """The next `count` bits as a number: `u(n)`.

        Raises:
            ValueError: the data ends before.
        """
        end = self.position + count
        if end > 8 * len(self.data):
            raise ValueError("it ends within a field")
        first, last = self.position // 8, -(-end // 8)
        number = int.from_bytes(self.data[first:last], "big") >> (8 * last - end)
        self.position = end
        return number & ((1 << count) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return bool(self.bits(1))

    def unsigned(self) -> int:
        """The next Exp-Golomb code: `ue(v)`.

        Raises:
            ValueError: it is no such code, or the data ends before.
        """
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > _LONGEST_CODE:
                raise ValueError("it has a code that is too long")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """The next signed Exp-Golomb code: `se(v)`."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)
