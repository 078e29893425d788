"""The API: what the page and programs ask of the recorders, in JSON."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from aiohttp import web

import videostore
from videostore.base.errors import RequestError
from videostore.web.answers import json_answer
from videostore.web.days import day_of, stored_by_day
from videostore.web.event_api import event_answer
from videostore.web.figures import WITHIN_S, told_recording
from videostore.web.health import health_of
from videostore.web.recorders import Recorder, Recorders
from videostore.web.times import bounds, checked_range, now_us, number, required_range

_MOST_RANGES = 2000
_LARGEST_MOST = 10_000
_MOST_FRAMES = 2000


class ApiRoutes:
    """Answers the requests below `api/`."""

    def __init__(self, recorders: Recorders) -> None:
        self._recorders = recorders

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.get("/api/recorders", self.recorders),
            web.get("/api/recorders/{id}/timeline", self.timeline),
            web.get("/api/recorders/{id}/days", self.days),
            web.get("/api/recorders/{id}/frames", self.frames),
            web.get("/api/recorders/{id}/health", self.health),
        ]

    async def recorders(self, request: web.Request) -> web.StreamResponse:
        """The recorders, and the time here."""
        found = await asyncio.gather(*map(self._summary, self._recorders))
        offset = datetime.now().astimezone().utcoffset()
        return json_answer(
            {
                "recorders": found,
                "zone": zone_name(),
                "offset_minutes": 0 if offset is None else round(offset.total_seconds() / 60),
                "now_us": now_us(),
                "version": videostore.__version__,
            }
        )

    async def timeline(self, request: web.Request) -> web.StreamResponse:
        """What is stored of a range, or of everything."""
        recorder = self._recorder_of(request)
        viewing = (await recorder.store())._viewing
        from_us, to_us = bounds(request.query)
        most = number(request.query.get("most", str(_MOST_RANGES)), "most", 1, _LARGEST_MOST)
        if from_us is None or to_us is None:
            first_us, last_us = await viewing.extent_us()
            from_us = (first_us or 0) if from_us is None else from_us
            to_us = max(last_us or 0, from_us + 1) if to_us is None else to_us
        asked = checked_range(from_us, to_us)
        found = await viewing.ranges(asked, most)
        events = await viewing.events(asked)
        outcomes = await viewing.outcomes(events)
        return json_answer(
            {
                "from_us": asked.from_us,
                "to_us": asked.to_us,
                "first_us": found.first_us,
                "newest_us": found.newest_us,
                "recording": await recorder.is_recording(),
                "ranges": [[one.from_us, one.to_us] for one in found.ranges],
                "gaps": [
                    {"from_us": one.from_us, "to_us": one.to_us, "reason": one.reason}
                    for one in await viewing.gaps(asked)
                ],
                "damaged": [
                    {"from_us": one.from_us, "to_us": one.to_us, "reason": one.reason} for one in found.damaged
                ],
                "events": [event_answer(one, outcomes) for one in events],
                "exact": found.exact,
            }
        )

    async def days(self, request: web.Request) -> web.StreamResponse:
        """How much is stored of each day."""
        viewing = (await self._recorder_of(request).store())._viewing
        asked = required_range(request.query)
        zone = timezone.utc if number(request.query.get("utc", "0"), "utc", 0, 1) else None
        stored = await stored_by_day(viewing, asked, zone)
        events = Counter(day_of(one.at_us, zone) for one in await viewing.events(asked))
        return json_answer({"days": {name: {"seconds": stored[name], "events": events[name]} for name in stored}})

    async def frames(self, request: web.Request) -> web.StreamResponse:
        """When the frames of a range were captured."""
        viewing = (await self._recorder_of(request).store())._viewing
        found, complete = await viewing.frames_us(required_range(request.query), _MOST_FRAMES)
        return json_answer({"frames_us": found, "complete": complete})

    async def health(self, request: web.Request) -> web.StreamResponse:
        """How well a recorder works."""
        return json_answer(await health_of(self._recorder_of(request), self._recorders))

    async def _summary(self, recorder: Recorder) -> dict[str, Any]:
        live, trouble, told = False, recorder.trouble, told_recording(recorder)
        try:
            live = await asyncio.wait_for(recorder.is_recording(), WITHIN_S)
        except asyncio.TimeoutError:
            trouble = RequestError("answer-too-late", limit=WITHIN_S)
        recording = live if told is None else told
        return {
            "id": recorder.id,
            "name": recorder.name,
            "live": live,
            "recording": recording,
            "reason": None if recording else (recorder.told or {}).get("reason"),
            "saves": recorder.place.upload_path is not None,
            "keeps": recorder.marks.keeps,
            "trouble": None if trouble is None else str(trouble),
        }

    def _recorder_of(self, request: web.Request) -> Recorder:
        return self._recorders.get(request.match_info["id"])


def zone_name() -> str | None:
    """The IANA name of the time zone of this machine; None if the system does not tell it."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if "/" in named and not named.startswith("/"):
        return named
    if named:
        return "UTC" if named == "UTC" else None
    try:
        target = os.readlink("/etc/localtime")
    except OSError:
        try:
            return Path("/etc/timezone").read_text(encoding="utf-8").strip() or None
        except (OSError, ValueError):
            return None
    _, found, name = target.partition("zoneinfo/")
    return (name or None) if found else None
