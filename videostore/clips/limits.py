"""Room: what a device, or an answer, has left for a clip; refusals say how much would fit."""

from __future__ import annotations

import shutil
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import NoRoomError, TooLargeError

CLIP_RESERVE_BYTES = 16 * 1024 * 1024
"""Room that a clip must leave on its device, at most 2 % of it: the recording goes on while it is written."""


def check_clip_room(directory: Path, size_bytes: int, length_us: int) -> None:
    """Refuse a clip for which the device of a directory, which need not be there yet, has no room. Blocking.

    Raises:
        NoRoomError: the sentence names the longest clip of the kind that would fit.
    """
    usage = shutil.disk_usage(next(path for path in (directory, *directory.parents) if path.exists()))
    room_bytes = max(0, usage.free - min(CLIP_RESERVE_BYTES, usage.total // 50))
    if size_bytes > room_bytes:
        raise NoRoomError(
            f"The clip of this range would take about {size_bytes / 2**20:.1f} MiB, but the disk of {directory} has "
            f"room for {room_bytes / 2**20:.1f} MiB: ask for at most {_fits_s(size_bytes, length_us, room_bytes)} s, "
            "or make room."
        )


def check_answer_size(size_bytes: int, length_us: int, limit_bytes: int) -> None:
    """Refuse a clip that is too large for an answer.

    Raises:
        TooLargeError: the sentence names the longest clip of the kind that would fit.
    """
    if size_bytes > limit_bytes:
        raise TooLargeError(
            f"The clip would have about {size_bytes / 2**20:.1f} MiB, but a grpc answer carries "
            f"{limit_bytes / 2**20:.1f} MiB: fetch at most {_fits_s(size_bytes, length_us, limit_bytes)} s at once, "
            "or save it."
        )


def _fits_s(size_bytes: int, length_us: int, room_bytes: int) -> str:
    fits_s = length_us / US_PER_SECOND * room_bytes / size_bytes
    return f"{int(fits_s * 10) / 10:g}"
