"""What is stored, as the responses to commands tell it: ranges, gaps, events and damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from videostore.base.constants import GIB
from videostore.base.ranges import DamagedRange
from videostore.base.slices import map_in_slices
from videostore.base.time_format import format_utc, format_utc_microseconds, up_to_second
from videostore.storage.notes import Event, RecordingGap
from videostore.storage.replaced_files import ReplacedFile
from videostore.storage.save_record import SaveOutcome
from videostore.store.results import StorageState


async def describe_state(state: StorageState) -> dict[str, Any]:
    """The response to `get-storage-state`."""
    damaged = {"damaged": await map_in_slices(describe_damage, state.damaged)} if state.damaged else {}
    return {
        "command": "get-storage-state",
        # Rounded outwards, so that a request for what is listed gets all of it.
        "stored_video": await map_in_slices(
            lambda one: {"from": format_utc(one.from_us), "to": format_utc(up_to_second(one.to_us))}, state.ranges
        ),
        "disk_usage": {
            "storage_path": str(state.storage_path),
            "storage_used_gb": state.used_bytes / GIB,
            "storage_limit_gb": _as_configured(state.limit_bytes or 0),
            "device_storage_remaining_gb": state.device_free_bytes / GIB,
        },
        **damaged,
        **({"sound": True} if state.sound else {}),
        **({"events": await describe_events(state.events, state.outcomes)} if state.events else {}),
        **({"gaps": await map_in_slices(_describe_gap, state.gaps)} if state.gaps else {}),
        **({"replaced": await map_in_slices(_describe_replaced, state.replaced)} if state.replaced else {}),
    }


def _as_configured(size_bytes: int) -> float:
    """A size in GiB, with the fewest decimals that are the same number of bytes: as a config gives it."""
    exact = size_bytes / GIB
    return next((short for digits in range(12) if round((short := round(exact, digits)) * GIB) == size_bytes), exact)


async def describe_events(events: Sequence[Event], outcomes: Mapping[str, SaveOutcome]) -> list[dict[str, Any]]:
    """Events, each with what became of its clip."""

    def describe(one: Event) -> dict[str, Any]:
        return describe_event(one) | _describe_outcome(outcomes.get(one.file_name or ""))

    return await map_in_slices(describe, events)


def describe_event(one: Event) -> dict[str, Any]:
    """An event."""
    return {
        "id": one.id,
        "at": format_utc_microseconds(one.at_us),
        "from": format_utc_microseconds(one.from_us),
        "to": format_utc_microseconds(one.to_us),
        "label": one.label,
        "keep": one.keep,
        **({"filename": one.file_name} if one.file_name else {}),
    }


def _describe_outcome(outcome: SaveOutcome | None) -> dict[str, Any]:
    if outcome is None:
        return {}
    return {"save_status": outcome.status.value, **({"save_reason": outcome.reason} if outcome.reason else {})}


def describe_damage(one: DamagedRange) -> dict[str, Any]:
    """A stretch that came damaged, or cannot be read any more."""
    begin, end = format_utc_microseconds(one.from_us), format_utc_microseconds(one.to_us)
    return {"from": begin, "to": end, "reason": one.reason}


def _describe_gap(one: RecordingGap) -> dict[str, Any]:
    begin, end = format_utc_microseconds(one.from_us), format_utc_microseconds(one.to_us)
    return {"from": begin, "to": end, "reason": one.reason}


def _describe_replaced(one: ReplacedFile) -> dict[str, Any]:
    known = {} if one.stored is None else {"stored_us": [one.stored.from_us, one.stored.to_us]}
    return {"file": one.file_name, "kind": one.kind, **known}
