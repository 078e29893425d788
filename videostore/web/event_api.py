"""The API of events: a viewer marks a stretch of a recording, and removes a mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from videostore.base.errors import RequestError
from videostore.storage.notes import Event
from videostore.storage.save_record import SaveOutcome
from videostore.store.marking import LABEL, make_event
from videostore.web.answers import json_answer
from videostore.web.body import optional_field, read_object, time_field
from videostore.web.recorders import Recorder, Recorders
from videostore.web.times import number as whole_number

_LARGEST_ID = 10**15 - 1


class EventRoutes:
    """Answers the requests that change events."""

    def __init__(self, recorders: Recorders) -> None:
        self._recorders = recorders

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.post("/api/recorders/{id}/events", self.mark),
            web.delete("/api/recorders/{id}/events/{number}", self.unmark),
        ]

    async def mark(self, request: web.Request) -> web.StreamResponse:
        """Mark a moment, with the range around it."""
        recorder = self._recorder_of(request)
        fields = await read_object(request)
        at_us, label = time_field(fields, "at_us"), fields.get("label")
        if label is None:
            raise RequestError("field-missing", field="label", expected=LABEL)
        around = {"before_s": fields.get("before_s"), "after_s": fields.get("after_s")}
        keep = bool(optional_field(fields, "keep", bool, "true or false"))
        make_event(at_us, label, **around, keep=keep)  # so that no module is asked for what is wrong
        event = await recorder.marks.mark(label, at_us, **around, keep=keep)
        return json_answer(event_answer(event, {}), status=201)

    async def unmark(self, request: web.Request) -> web.StreamResponse:
        """Forget an event."""
        number = whole_number(request.match_info["number"], "id", 1, _LARGEST_ID)
        await self._recorder_of(request).marks.unmark(number)
        return json_answer({"id": number})

    def _recorder_of(self, request: web.Request) -> Recorder:
        return self._recorders.get(request.match_info["id"])


def event_answer(event: Event, outcomes: Mapping[str, SaveOutcome]) -> dict[str, Any]:
    """An event as the page gets it, with what became of its clip, as far as that is known."""
    outcome = outcomes.get(event.file_name or "")
    return {
        "id": event.id,
        "from_us": event.from_us,
        "to_us": event.to_us,
        "at_us": event.at_us,
        "label": event.label,
        "keep": event.keep,
        "saved": event.file_name,
        "save_status": outcome.status.value if outcome else None,
        "save_reason": outcome.reason if outcome else "",
    }
