"""The state of a recorder in numbers: of what the module says, and of what its files show."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from videostore.base.clock import Clock, SystemClock
from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import VideoStoreError
from videostore.store.results import Health
from videostore.web.recorders import Recorder

WITHIN_S = 5.0
"""One whose disk hangs for so long cannot be read: the others are told all the same."""
_CURRENT_S = 15.0
"""The module tells every two seconds. What it said longer ago is not what is."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a recorder; None of what is not."""

    name: str
    readable: bool
    """Whether its directory can be read."""
    recording: bool | None = None
    """None if nothing is to be recorded, or no module says."""
    frames: int | None = None
    dropped: int | None = None
    faulty: int | None = None
    damaged: int | None = None
    restarts: int | None = None
    frames_per_second: float | None = None
    pending_saves: int | None = None
    failed_saves: int | None = None
    quota_bytes: int | None = None
    stored_bytes: int | None = None
    segments: int | None = None
    gaps: int | None = None
    oldest_us: int | None = None
    newest_age_s: float | None = None


def told_of(recorder: Recorder) -> Mapping[str, Any] | None:
    """What its module says of it at present; None if it says nothing, or there is no module."""
    return recorder.told if recorder.told_age_s < _CURRENT_S else None


def told_recording(recorder: Recorder) -> bool | None:
    """Whether it records, as its module says; None if nothing is to be recorded, or no module says."""
    told = told_of(recorder)
    if told is None:
        return None if recorder.told is None else False  # the module has gone silent
    return _told(told)["recording"]  # type: ignore[no-any-return]


async def figures_of(recorder: Recorder, clock: Clock | None = None) -> Figures:
    """The figures of a recorder now. What the module said of it is left out once it is old, or came from no module."""
    told = told_of(recorder)
    known = {} if told is None else _told(told)
    known["recording"] = told_recording(recorder)
    try:
        newest_us, health = await asyncio.wait_for(_stored(recorder), WITHIN_S)
    except (VideoStoreError, asyncio.TimeoutError):
        return Figures(recorder.name, readable=False, **known)
    now_us = (clock or SystemClock()).wall_us()
    return Figures(
        recorder.name,
        readable=True,
        stored_bytes=health.stored_bytes,
        segments=health.segments,
        gaps=health.gaps,
        oldest_us=health.oldest_us,
        newest_age_s=None if newest_us is None else max(0, now_us - newest_us) / US_PER_SECOND,
        **known,
    )


async def _stored(recorder: Recorder) -> tuple[int | None, Health]:
    store = await recorder.store()
    return await store.newest_us(), store.health()


def _told(status: Mapping[str, Any]) -> dict[str, Any]:
    """The figures in a status of `get_status`. Only a recorder that has something to record has a rate."""
    failed = status.get("failed_saves")
    records = "frames_per_second" in status
    return {
        "recording": bool(status.get("recording")) if records else None,
        "frames": status.get("recorded_frames"),
        "dropped": status.get("dropped_frames"),
        "faulty": status.get("faulty_frames"),
        "damaged": status.get("damaged_frames", 0) if records else None,
        "restarts": status.get("ffmpeg_restarts"),
        "frames_per_second": status.get("frames_per_second"),
        "pending_saves": status.get("pending_saves"),
        "failed_saves": len(failed) if isinstance(failed, list) else None,
        "quota_bytes": status.get("limit_bytes"),
    }
