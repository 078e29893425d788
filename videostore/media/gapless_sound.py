"""Puts packets of sound behind one another without a gap, each as near to its place as that allows. Blocking."""

from __future__ import annotations

from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.media.silence import silence
from videostore.media.sound_file import SoundFile

FARTHEST_OFF = 0.75
"""So much of its length may a packet be off its place. A half would be exceeded again and again by times that vary."""


class GaplessSound:
    """A file of sound while it is written. Silence is put where packets are missing."""

    def __init__(self, path: Path, entry: bytes, rate: int, samples: int) -> None:
        """`samples` is the length of each packet."""
        self.path = path
        self.packet_us = samples * US_PER_SECOND / rate
        self._silence = silence(entry, rate, samples)
        self._file = SoundFile(path, entry, rate, samples)
        self._closed = False
        self.has_sound = False

    @property
    def count(self) -> int:
        """How many packets it has."""
        return self._file.count

    def add(self, position_us: float, data: bytes) -> None:
        """Add a packet that begins there, unless that is not near the end of the one before it."""
        off = position_us / self.packet_us - self._file.count
        if off >= FARTHEST_OFF and self._silence is not None:
            self._file.add(self._silence * round(off), [len(self._silence)] * round(off))
            off -= round(off)
        if abs(off) < FARTHEST_OFF:
            self._file.add(data, [len(data)])
            self.has_sound = True

    def close(self) -> None:
        """Complete the file. It can be called again."""
        if not self._closed:
            self._closed = True
            self._file.close()
