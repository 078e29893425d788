"""Health: how well a recorder works, as far as its files tell it and its module says it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.store.viewing import ViewedSegment, Viewing
from videostore.web.figures import figures_of
from videostore.web.recorders import Recorder

_DAY_US = 24 * 3600 * US_PER_SECOND
_LONGEST_RATE_US = 7 * _DAY_US
"""The rate at which a recorder fills its disk is that of the last week, or of what there is."""


async def health_of(recorder: Recorder) -> dict[str, Any]:
    """What is known of a recorder.

    Raises:
        VideoStoreError: its directory cannot be read.
    """
    store = await recorder.store()
    viewing, stored = store._viewing, store.health()
    figures = await figures_of(recorder)
    first_us, newest_us = await viewing.extent_us()
    newest = await viewing.newest()
    content = None if newest is None else await off_loop(_content, newest)
    free_bytes = await off_loop(_free_bytes, recorder.place.directory)
    per_day = await _bytes_per_day(viewing, newest_us)
    room_bytes = _room_bytes(figures.quota_bytes, stored.stored_bytes, free_bytes)
    told = recorder.told or {}
    troubles = [told.get("reason"), stored.storage_trouble, stored.index_trouble, stored.storage_limit]
    return {
        "recording": await recorder.is_recording() if figures.recording is None else figures.recording,
        "reason": next((one for one in troubles if one), None),
        "first_us": first_us,
        "newest_us": newest_us,
        "newest_age_s": figures.newest_age_s,
        "fps": figures.frames_per_second or (None if content is None else _frame_rate(content)),
        "codec": None if newest is None else newest.segment.codec,
        "width": None if newest is None else newest.segment.width,
        "height": None if newest is None else newest.segment.height,
        "sound": content is not None and content.sound is not None,
        "used_bytes": stored.stored_bytes,
        "limit_bytes": figures.quota_bytes,
        "free_bytes": free_bytes,
        "bytes_per_day": per_day,
        "days_fit": round(room_bytes / per_day, 2) if per_day and room_bytes is not None else None,
        "stored_seconds": stored.stored_seconds,
        "segments": stored.segments,
        "damaged_files": stored.damaged_files,
        "dropped": figures.dropped,
        "faulty": figures.faulty,
        "damaged": figures.damaged,
        "restarts": figures.restarts,
        "pending_saves": figures.pending_saves,
        "failed_saves": figures.failed_saves,
        "troubles": [one for one in [*troubles, told.get("last_fault")] if one],
    }


async def _bytes_per_day(viewing: Viewing, newest_us: int | None) -> int | None:
    if newest_us is None:
        return None
    for length_us in (_DAY_US // 24, _LONGEST_RATE_US):  # an hour is enough, and asks for few rows
        size_bytes, stored_us = await viewing.amount(Range(newest_us - length_us, newest_us))
        if stored_us > length_us // 2 or (stored_us and length_us == _LONGEST_RATE_US):
            return size_bytes * _DAY_US // stored_us
    return None


def _room_bytes(limit_bytes: int | None, used_bytes: int, free_bytes: int | None) -> int | None:
    """What the recording may take."""
    on_device = None if free_bytes is None else used_bytes + free_bytes
    known = [one for one in (limit_bytes, on_device) if one is not None]
    return min(known, default=None)


def _frame_rate(content: FragmentedFile) -> float | None:
    length_us = content.end_us - content.start_us
    return round(len(content.times_us) * US_PER_SECOND / length_us, 2) if length_us > 0 else None


def _content(newest: ViewedSegment) -> FragmentedFile | None:
    """Blocking."""
    if newest.content is not None:
        return newest.content
    try:
        return read_fragments(newest.path)
    except (NotOursError, OSError):
        return None


def _free_bytes(directory: Path) -> int | None:
    """Blocking."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
