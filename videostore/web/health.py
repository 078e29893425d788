"""Health: how well a recorder works, as far as its files tell it and its module says it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.base.tasks import off_loop
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import FragmentedFile, NotOursError
from videostore.store.viewing import ViewedSegment
from videostore.web.figures import figures_of
from videostore.web.recorders import Recorder
from videostore.web.room import bytes_per_day, disk_of, room_of


async def health_of(recorder: Recorder, others: Iterable[Recorder] = ()) -> dict[str, Any]:
    """What is known of a recorder, which may share its disk with others.

    Raises:
        VideoStoreError: its directory cannot be read.
    """
    store = await recorder.store()
    viewing, stored = store._viewing, store.health()
    figures = await figures_of(recorder)
    first_us, newest_us = await viewing.extent_us()
    newest = await viewing.newest()
    content = None if newest is None else await off_loop(_content, newest)
    disk = await off_loop(disk_of, recorder.place.directory)
    recorder.device = None if disk is None else disk.device
    per_day = await bytes_per_day(viewing, newest_us)
    recording = await recorder.is_recording() if figures.recording is None else figures.recording
    room = await room_of(recorder, others, disk, per_day, recording)
    told = recorder.told or {}
    troubles = [told.get("reason"), stored.storage_trouble, stored.index_trouble, stored.storage_limit]
    return {
        "recording": recording,
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
        "room_bytes": room.room_bytes,
        "free_bytes": None if disk is None else disk.free_bytes,
        "bytes_per_day": per_day,
        "days_fit": room.days_fit,
        "days_unknown": room.days_unknown,
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
