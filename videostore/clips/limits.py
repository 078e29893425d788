"""Limits on the size of a clip: the free space of a disk, and what a response can carry."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from videostore.base.constants import MIB, US_PER_SECOND
from videostore.base.errors import NoRoomError, TooLargeError

CLIP_RESERVE_BYTES = 16 * MIB
"""Space that a clip must leave free on its disk, at most 2 % of it: recording continues while the clip is written."""


def check_clip_room(directory: Path, size_bytes: int, length_us: int) -> None:
    """Refuse a clip for which the disk of a directory has no room. The directory need not exist yet. Blocking.

    Raises:
        NoRoomError: with the length of the longest clip that would fit.
    """
    usage = shutil.disk_usage(next(path for path in (directory, *directory.parents) if path.exists()))
    free_bytes = max(0, usage.free - min(CLIP_RESERVE_BYTES, usage.total // 50))
    if size_bytes > free_bytes:
        raise NoRoomError(
            "no-room-for-clip",
            path=directory,
            size_bytes=size_bytes,
            free_bytes=free_bytes,
            longest_s=_longest_s(size_bytes, length_us, free_bytes),
        )


def check_response_size(size_bytes: int, length_us: int, limit_bytes: int) -> None:
    """Refuse a clip that is too large for a response.

    Raises:
        TooLargeError: with the length of the longest clip that would fit.
    """
    if size_bytes > limit_bytes:
        longest_s = _longest_s(size_bytes, length_us, limit_bytes)
        if not longest_s:
            raise TooLargeError("limit-too-small", size_bytes=size_bytes, limit_bytes=limit_bytes, longest_s=longest_s)
        raise TooLargeError("clip-too-large", size_bytes=size_bytes, limit_bytes=limit_bytes, longest_s=longest_s)


def _longest_s(size_bytes: int, length_us: int, room_bytes: int) -> float:
    """How many seconds of a clip fit into less room, rounded down to a tenth."""
    return math.floor(length_us / US_PER_SECOND * room_bytes / size_bytes * 10) / 10
