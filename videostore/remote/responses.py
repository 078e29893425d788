"""What a recorder's responses say, and how a command tells a time."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from videostore.base.constants import GIB, US_PER_SECOND
from videostore.base.errors import MachineError, TimestampError
from videostore.base.ranges import DamagedRange, Range
from videostore.base.time_format import format_utc
from videostore.base.timestamps import parse_timestamp
from videostore.clips.picture import Snapshot
from videostore.remote.piece_length import RESPONSE_PRECISION_US
from videostore.storage.notes import Event, RecordingGap
from videostore.storage.replaced_files import ReplacedFile
from videostore.storage.save_record import SaveOutcome, SaveStatus
from videostore.store.results import StorageState


def parse_state(response: Mapping[str, Any], component: str) -> StorageState:
    try:
        usage = response["disk_usage"]
        return StorageState(
            ranges=_stored(response),
            storage_path=Path(usage["storage_path"]),
            used_bytes=round(usage["storage_used_gb"] * GIB),
            limit_bytes=round(usage["storage_limit_gb"] * GIB) or None,
            device_free_bytes=round(usage["device_storage_remaining_gb"] * GIB),
            damaged=damaged_ranges(response),
            sound=response.get("sound") is True,
            gaps=_gaps(response),
            replaced=tuple(_replaced(one) for one in response.get("replaced") or ()),
            events=tuple(_event(one) for one in response.get("events") or ()),
            outcomes={
                str(one["filename"]): SaveOutcome(SaveStatus(one["save_status"]), str(one.get("save_reason") or ""))
                for one in response.get("events") or ()
                if one.get("filename") and one.get("save_status")
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, TimestampError) as error:
        raise MachineError("not-a-recorder", component=component) from error


def clip_ranges(response: Mapping[str, Any], from_us: int, to_us: int) -> tuple[Range, ...] | None:
    """What a clip holds, from a response. Its times are floored to the millisecond, which is undone at both ends."""
    if "ranges" not in response:
        return None
    ranges = [_range(one) for one in response["ranges"]]
    ranges = [replace(one, from_us=max(one.from_us, from_us)) for one in ranges]
    floored_us = to_us // RESPONSE_PRECISION_US * RESPONSE_PRECISION_US
    return tuple(replace(one, to_us=to_us) if one.to_us == floored_us else one for one in ranges)


def _replaced(one: Mapping[str, Any]) -> ReplacedFile:
    stored = one.get("stored_us")
    return ReplacedFile(str(one["file"]), str(one["kind"]), Range(*map(int, stored)) if stored else None)


def _gaps(response: Mapping[str, Any]) -> tuple[RecordingGap, ...]:
    found = [(_range(one), str(one["reason"])) for one in response.get("gaps") or ()]
    return tuple(RecordingGap(one.from_us, one.to_us, reason) for one, reason in found)


def _event(one: Mapping[str, Any]) -> Event:
    range, at_us = _range(one), parse_timestamp(one["at"], "at")
    name = one.get("filename")
    return Event(
        *(round(one["id"]), at_us, range.from_us, range.to_us, str(one["label"]), one["keep"] is True),
        None if name is None else str(name),
    )


def parse_event(response: Mapping[str, Any], component: str) -> Event:
    """The event in a response.

    Raises:
        MachineError: there is none.
    """
    try:
        return _event(response)
    except (KeyError, TypeError, ValueError, AttributeError, TimestampError) as error:
        raise MachineError("not-a-recorder", component=component) from error


def damaged_ranges(response: Mapping[str, Any]) -> tuple[DamagedRange, ...]:
    found = []
    for one in response.get("damaged") or ():
        range = _range(one)
        found.append(DamagedRange(range.from_us, range.to_us, str(one["reason"])))
    return tuple(found)


def _stored(response: Mapping[str, Any]) -> tuple[Range, ...]:
    """The stored ranges; to the second if the module is of a version that tells no exact times."""
    rounded = response["stored_video"]
    if (exact := response.get("stored_us")) is not None:
        return tuple(Range(round(from_us), round(to_us)) for from_us, to_us in exact)
    return tuple(_range(one) for one in rounded or ())


def _range(response: Mapping[str, Any]) -> Range:
    return Range(parse_timestamp(response["from"], "from"), parse_timestamp(response["to"], "to"))


def parse_snapshot(response: Mapping[str, Any], component: str) -> Snapshot:
    """The picture in a response.

    Raises:
        MachineError: there is none.
    """
    try:
        return Snapshot(
            base64.b64decode(response["image"], validate=True),
            round(response["captured_us"]),
            round(response["width"]),
            round(response["height"]),
            response["exact"] is True,
            response.get("damaged"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MachineError("not-a-recorder", component=component) from error


def timestamp(time_us: int) -> str:
    """A time to the microsecond, in the form that commands use."""
    return f"{format_utc(time_us)[:-1]}.{time_us % US_PER_SECOND:06d}Z"
