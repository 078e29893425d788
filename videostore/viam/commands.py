"""The commands that clients send as JSON, and the responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from videostore.base.errors import RequestError
from videostore.base.ranges import DamagedRange, Range
from videostore.base.slices import map_in_slices
from videostore.base.time_format import format_iso, format_utc_microseconds
from videostore.base.timestamps import parse_timestamp
from videostore.clips.containers import DEFAULT_CONTAINER
from videostore.storage.save_record import SaveStatus
from videostore.store.answer_budget import AnswerRoom
from videostore.store.marking import AROUND_S
from videostore.store.reading import FETCH_LIMIT_BYTES
from videostore.store.results import Health
from videostore.store.store import VideoStore
from videostore.viam.answer import Base64Text, plain_answer
from videostore.viam.state_answer import describe_damage, describe_event, describe_events, describe_state
from videostore.viam.web_servers import WebState

NAMES = ("save", "fetch", "get-storage-state", "get-save-status", "get-frame", "mark", "unmark", "get-events")
FRAME_WIDTH = 640
"""Of a picture whose width is not asked for: about 60 KB, which the control tab shows without delay."""
_LABEL = "a text that says what is marked"
_SECONDS = "a number of seconds"
_EVENT_ID = "the 'id' of an event, as 'get-events' lists it"
_FILE_NAME = "the 'filename' from the response to a save"


async def execute(store: VideoStore, command: Mapping[str, Any]) -> dict[str, Any]:
    """Run a command and return its response.

    Raises:
        VideoStoreError: the command is refused, or failed. Its text is for the client.
    """
    return plain_answer(await answer(store, command))


async def answer(store: VideoStore, command: Mapping[str, Any], room: AnswerRoom | None = None) -> dict[str, Any]:
    """The same with a clip as `Base64Text`, which waits for its place in `room`.

    Raises:
        VideoStoreError: as `execute` does.
    """
    name = command.get("command")
    if name == "save":
        return await _save(store, command)
    if name == "fetch":
        return await _fetch(store, command, room)
    if name == "get-frame":
        return await _get_frame(store, command)
    if name == "mark":
        return await _mark(store, command)
    if name == "unmark":
        return await _unmark(store, command)
    if name == "get-events":
        return await _get_events(store, command)
    if name == "get-storage-state":
        return await _storage_state(store, command)
    if name == "get-save-status":
        return await _save_status(store, command)
    if name is None:
        raise RequestError("command-missing", field="command", expected=", ".join(NAMES))
    raise RequestError("command-unknown", field="command", value=name, expected=", ".join(NAMES))


async def _save(store: VideoStore, command: Mapping[str, Any]) -> dict[str, Any]:
    from_us, to_us = _range(command)
    metadata = _optional(command, "metadata", str, "a string") or ""
    tags = _optional(command, "tags", (list, tuple), "a list of strings") or []
    asynchronous = bool(_optional(command, "async", bool, "true or false"))
    clip = await store.save(
        from_us, to_us, metadata=metadata, tags=tags, wait=not asynchronous, container=_container(command)
    )
    response: dict[str, Any] = {"command": "save", "filename": clip.file_name}
    if asynchronous:
        response["status"] = "async"
    return response | _ranges(clip.ranges) | _damaged(clip.damaged)


async def _fetch(store: VideoStore, command: Mapping[str, Any], room: AnswerRoom | None) -> dict[str, Any]:
    from_us, to_us = _range(command)
    clip = await store._fetch(from_us, to_us, _container(command), FETCH_LIMIT_BYTES, room)
    return {"command": "fetch", "video": Base64Text(clip.data)} | _ranges(clip.ranges) | _damaged(clip.damaged)


async def _get_frame(store: VideoStore, command: Mapping[str, Any]) -> dict[str, Any]:
    at_us = await _moment(store, command.get("at"))
    width = _optional(command, "width", (int, float), "a whole number of pixels")
    if isinstance(width, float) and width.is_integer():  # protobuf has no whole numbers
        width = int(width)
    exact = _optional(command, "exact", bool, "true or false")
    found = await store.snapshot(
        at_us, width=FRAME_WIDTH if width is None else width, exact=True if exact is None else exact
    )
    return {
        "command": "get-frame",
        "image": Base64Text(found.jpeg),
        "captured_at": format_iso(found.captured_us),
        "captured_us": found.captured_us,
        "width": found.width,
        "height": found.height,
        "exact": found.exact,
        **({"damaged": found.damaged} if found.damaged else {}),
    }


async def _moment(store: VideoStore, at: Any) -> int | str:
    """The moment of a picture. Without one it is that of the newest frame, for which nothing has to be waited."""
    if at is not None and at != "now":
        return parse_timestamp(at, "at")
    newest_us = await store.newest_us()
    return "now" if newest_us is None else newest_us - 1


async def _mark(store: VideoStore, command: Mapping[str, Any]) -> dict[str, Any]:
    label = _optional(command, "label", str, _LABEL)
    if label is None:
        raise RequestError("field-missing", field="label", expected=_LABEL)
    before_s = _optional(command, "before_s", (int, float), _SECONDS)
    after_s = _optional(command, "after_s", (int, float), _SECONDS)
    keep = bool(_optional(command, "keep", bool, "true or false"))
    save = bool(_optional(command, "save", bool, "true or false"))
    at = "now" if command.get("at") in (None, "now") else parse_timestamp(command["at"], "at")
    event = await store.mark(
        label,
        at,
        before_s=AROUND_S if before_s is None else before_s,
        after_s=AROUND_S if after_s is None else after_s,
        keep=keep,
        save=save,
        metadata=_optional(command, "metadata", str, "a string"),
        tags=_optional(command, "tags", (list, tuple), "a list of strings") or [],
    )
    queued = {"save_status": SaveStatus.PENDING.value} if event.file_name else {}
    return {"command": "mark"} | describe_event(event) | queued


async def _unmark(store: VideoStore, command: Mapping[str, Any]) -> dict[str, Any]:
    id = _optional(command, "id", (int, float), _EVENT_ID)
    if id is None:
        raise RequestError("field-missing", field="id", expected=_EVENT_ID)
    release = bool(_optional(command, "release", bool, "true or false"))
    cancel_save = bool(_optional(command, "cancel_save", bool, "true or false"))
    file_name = await store.unmark(id, release=release, cancel_save=cancel_save)
    return {"command": "unmark", "id": id, **({"filename": file_name} if file_name else {})}


async def _get_events(store: VideoStore, command: Mapping[str, Any]) -> dict[str, Any]:
    start = None if command.get("from") is None else parse_timestamp(command["from"], "from")
    end = None if command.get("to") is None else parse_timestamp(command["to"], "to")
    events = await store.events(start, end)
    return {"command": "get-events", "events": await describe_events(events, await store.save_outcomes(events))}


async def _save_status(store: VideoStore, command: Mapping[str, Any]) -> dict[str, Any]:
    file_name = _optional(command, "filename", str, _FILE_NAME)
    if not file_name:
        raise RequestError("field-missing", field="filename", expected=_FILE_NAME)
    save = await store.save_status(file_name)
    response = {"command": "get-save-status", "filename": save.file_name, "status": save.status.value}
    if save.reason:
        response["reason"] = save.reason
    return response | _ranges(save.ranges) | _damaged(save.damaged)


def _range(command: Mapping[str, Any]) -> tuple[int, int]:
    return parse_timestamp(command.get("from"), "from"), parse_timestamp(command.get("to"), "to")


def _container(command: Mapping[str, Any]) -> str:
    container: str | None = _optional(command, "container", str, "a string")
    return DEFAULT_CONTAINER if container is None else container


def _optional(command: Mapping[str, Any], field: str, kind: type | tuple[type, ...], expected: str) -> Any:
    value = command.get(field)
    if value is not None and not isinstance(value, kind):
        raise RequestError("field-wrong", field=field, value=value, expected=expected)
    return value


def _ranges(ranges: Sequence[Range] | None) -> dict[str, Any]:
    if ranges is None:
        return {}
    return {
        "ranges": [
            {"from": format_utc_microseconds(one.from_us), "to": format_utc_microseconds(one.to_us)} for one in ranges
        ]
    }


def _damaged(damaged: Sequence[DamagedRange]) -> dict[str, Any]:
    return {"damaged": [describe_damage(one) for one in damaged]} if damaged else {}


async def _storage_state(store: VideoStore, command: Mapping[str, Any]) -> dict[str, Any]:
    exact = _optional(command, "exact", bool, "true or false")
    state = await store.state()
    response = await describe_state(state)
    if exact:
        response["stored_us"] = await map_in_slices(lambda one: [one.from_us, one.to_us], state.ranges)
    return response


def describe_health(
    health: Health,
    upload_trouble: str | None = None,
    newest_age_s: float | None = None,
    web: WebState | None = None,
) -> dict[str, Any]:
    """The response to `get_status`. Of uploads and of the page, the store knows nothing: what is to say is given."""
    recorder = health.recorder
    status: dict[str, Any] = {
        "recording": recorder is not None and recorder.recording,
        "stored_seconds": health.stored_seconds,
        "stored_bytes": health.stored_bytes,
        "stored_segments": health.segments,
        "pending_saves": health.pending_saves,
        "failed_saves": [{"filename": save.file_name, "reason": save.reason} for save in health.failed_saves],
    }
    if newest_age_s is not None:
        status["newest_age_s"] = newest_age_s
    if health.unindexed_segments:
        status["unindexed_segments"] = health.unindexed_segments
    if health.damaged_files:
        status["damaged_files"] = health.damaged_files
        status["damaged_bytes"] = health.damaged_bytes
        status["damaged_names"] = list(health.damaged_names)
    if health.unreadable_files:
        status["unreadable_files"] = list(health.unreadable_files)
    if health.storage_trouble:
        status["storage_trouble"] = health.storage_trouble
    if health.storage_limit:
        status["storage_limit"] = health.storage_limit
    if health.index_trouble:
        status["index_trouble"] = f"The index is kept in memory until its file can be used: {health.index_trouble}."
    if upload_trouble:
        status["upload_trouble"] = upload_trouble
    if web is not None and web.address:
        status["web_address"] = web.address
    if web is not None and web.trouble:
        status["web_trouble"] = web.trouble
    if recorder is None:
        return status | {"reason": "no camera is configured"}
    if recorder.last_frame_age_s is not None:
        status["last_frame_age_s"] = recorder.last_frame_age_s
    if recorder.damaged_frames:
        status["damaged_frames"] = recorder.damaged_frames
        status["last_damage"] = describe_damage(recorder.last_damage) if recorder.last_damage else None
    return status | {
        "reason": recorder.reason,
        "frames_per_second": recorder.frames_per_second,
        "open_segment": recorder.open_segment or "",
        "ffmpeg_restarts": recorder.ffmpeg_restarts,
        "dropped_frames": recorder.dropped_frames,
        "faulty_frames": recorder.faulty_frames,
        "recorded_frames": recorder.recorded_frames,
        "last_fault": recorder.last_fault,
        "sound": recorder.sound,
    }
