"""Room: how long a recording becomes until its oldest is deleted, as far as that can be told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import Range, merge_ranges
from videostore.config.model import min_free_bytes
from videostore.store.viewing import Viewing
from videostore.web.figures import told_of
from videostore.web.recorders import Recorder

DAY_US = 24 * 3600 * US_PER_SECOND
_LONGEST_RATE_US = 7 * DAY_US
"""The rate at which a recorder fills its disk is that of the last week, or of what there is."""
_ALWAYS = Range(0, 1 << 62)

AT_REST = "nothing is recorded at the moment"
_NO_QUOTA = "its quota is not known here"
_UNREADABLE = "the disk does not tell how much of it is free"
_EMPTY = "nothing is stored yet"
_FULL = "the disk has no room for it"
_CROWDED = "the disk has too little room for the quotas of all recorders on it"
_FOREIGN = "how much {name} takes of the same disk is not known here"


@dataclass(frozen=True, slots=True)
class Disk:
    """What a recorder stores on."""

    device: int
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """What a recorder may store, and for how long that is enough."""

    room_bytes: int | None
    """How much it may store: its quota, or less if the disk has too little room; None if that is not known."""
    days_fit: float | None
    days_unknown: str | None
    """Why there are no days; None if there are."""


def disk_of(directory: Path) -> Disk | None:
    """The disk of a directory; None if it tells nothing. Blocking."""
    try:
        usage = shutil.disk_usage(directory)
        return Disk(os.stat(directory).st_dev, usage.total, usage.free)
    except OSError:
        return None


async def bytes_per_day(viewing: Viewing, newest_us: int | None) -> int | None:
    """How much a day takes; None if nothing is stored."""
    if newest_us is None:
        return None
    for length_us in (DAY_US // 24, _LONGEST_RATE_US):  # an hour is enough, and asks for few rows
        size_bytes, stored_us = await viewing.amount(Range(newest_us - length_us, newest_us))
        if stored_us > length_us // 2 or (stored_us and length_us == _LONGEST_RATE_US):
            return size_bytes * DAY_US // stored_us
    return None


async def room_of(
    recorder: Recorder, others: Iterable[Recorder], disk: Disk | None, per_day: int | None, recording: bool
) -> Room:
    """How long the recording of one recorder becomes beside those of the others.

    Raises:
        VideoStoreError: its directory cannot be read.
    """
    room_bytes, unknown = await _room_bytes(recorder, others, disk)
    if not recording:
        return Room(room_bytes, None, AT_REST)
    if not per_day:
        return Room(room_bytes, None, _EMPTY)
    if room_bytes is None:
        return Room(None, None, unknown)
    for_new_bytes = room_bytes - await _kept_us((await recorder.store())._viewing) * per_day // DAY_US
    if for_new_bytes <= 0:
        return Room(room_bytes, None, _FULL)
    return Room(room_bytes, round(for_new_bytes / per_day, 4), None)


async def _room_bytes(
    recorder: Recorder, others: Iterable[Recorder], disk: Disk | None
) -> tuple[int | None, str | None]:
    """How much it may store, or why that is not known.

    Where the disk has too little room for all quotas, each recorder on it deletes its own oldest. Which one does first,
    and so what each will have, is not settled.
    """
    told = told_of(recorder) or {}
    quota_bytes = told.get("limit_bytes")
    if quota_bytes is None:
        return None, _NO_QUOTA
    if disk is None:
        return None, _UNREADABLE
    used_bytes = recorder.stored_bytes or 0
    floor_bytes = min_free_bytes(told.get("min_free_gb"), disk.total_bytes)
    on_disk_bytes = max(0, used_bytes + disk.free_bytes - floor_bytes)
    theirs_bytes = 0
    for other in others:
        if other is recorder or other.device != disk.device:
            continue
        its = await _will_take_bytes(other)
        if its is None:
            return None, _FOREIGN.format(name=other.name)
        theirs_bytes += its
    if quota_bytes <= on_disk_bytes - theirs_bytes:
        return quota_bytes, None
    return (None, _CROWDED) if theirs_bytes else (on_disk_bytes, None)


async def _will_take_bytes(recorder: Recorder) -> int | None:
    """How much more a recorder takes than it has; None if that is not known."""
    told: Any = told_of(recorder) or {}
    quota_bytes = told.get("limit_bytes")
    if quota_bytes is not None:
        # One that has no camera takes nothing.
        return max(0, quota_bytes - (recorder.stored_bytes or 0)) if "frames_per_second" in told else 0
    return None if await recorder.is_recording() else 0


async def _kept_us(viewing: Viewing) -> int:
    """How long the footage is that the quota passes over."""
    kept = merge_ranges([Range(one.from_us, one.to_us) for one in await viewing.events(_ALWAYS) if one.keep])
    return sum(viewing.stored_us(one, 0) for one in kept)
