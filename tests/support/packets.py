"""Comparing clips packet by packet."""

from __future__ import annotations

from pathlib import Path

from videostore.remote.splice import Piece


def same_frames(one: Path, other: Path) -> bool:
    """Whether two clips have the same packets at the same times. Their durations may differ."""
    return _frames(one) == _frames(other)


def _frames(path: Path) -> list[tuple[bytes, bool, int]]:
    return [(packet.digest, packet.hidden, packet.time_us) for packet in Piece.read(path).packets]
