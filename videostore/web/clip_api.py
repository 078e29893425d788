"""The API of clips and pictures: what is cut out of a recording, to download it, to save it, or to look at it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from aiohttp import web

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import NothingStoredError, RequestError, VideoStoreError
from videostore.base.tasks import off_loop
from videostore.base.time_format import format_local
from videostore.web.answers import json_answer
from videostore.web.body import TIME, optional_field, read_object, time_field
from videostore.web.media import hang_up, send_block, send_media
from videostore.web.recorders import Recorder, Recorders, slug
from videostore.web.segment_bytes import open_file
from videostore.web.times import bound, checked_range, now_us, number, required_range

_MOST_RANGES = 1000
_WIDEST = 4096
_BEHIND_US = 10 * US_PER_SECOND
"""The picture of now is the newest one, if it is not older than that."""


class ClipRoutes:
    """Answers the requests for clips and pictures."""

    def __init__(self, recorders: Recorders) -> None:
        self._recorders = recorders

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.get("/api/recorders/{id}/frame.jpg", self.picture),
            web.get("/api/recorders/{id}/clip", self.estimate),
            web.get("/api/recorders/{id}/clip.mp4", self.clip, allow_head=False),
            web.post("/api/recorders/{id}/saves", self.save),
            web.get("/api/recorders/{id}/saves/{name}", self.save_status),
        ]

    async def picture(self, request: web.Request) -> web.StreamResponse:
        """The picture of a moment."""
        recorder = self._recorder_of(request)
        at_us = bound(request.query, "at")
        if at_us is None:
            raise RequestError("field-missing", field="at_us", expected=TIME)
        width = number(request.query["width"], "width", 16, _WIDEST) if "width" in request.query else None
        exact = number(request.query.get("exact", "1"), "exact", 0, 1) == 1
        pictures = await recorder.pictures()
        try:
            found, lasting = await pictures.take(at_us, width, exact=exact)
        except NothingStoredError as error:
            newest_us = error.fields.get("before_us")
            if error.code != "moment-after-last" or newest_us is None or newest_us < now_us() - _BEHIND_US:
                raise
            # What is captured now is read in a second: the newest frame that is there, whose time is told.
            found, lasting = await pictures.take(newest_us, width, exact=exact)
            found = replace(found, exact=False)
        return web.Response(
            body=found.jpeg,
            content_type="image/jpeg",
            headers={
                "Cache-Control": "private, max-age=3600" if lasting else "no-store",
                "X-Capture-Time-Us": str(found.captured_us),
                "X-Exact": str(int(found.exact)),
                **({"X-Damaged": found.damaged} if found.damaged else {}),
            },
        )

    async def estimate(self, request: web.Request) -> web.StreamResponse:
        """What a clip would hold, and about how large it would be."""
        viewing = (await self._recorder_of(request).store())._viewing
        asked = required_range(request.query)
        size_bytes, stored_us = await viewing.amount(asked)
        found = await viewing.ranges(asked, _MOST_RANGES)
        return json_answer(
            {
                "size_bytes": size_bytes,
                "seconds": stored_us / US_PER_SECOND,
                "ranges": [[one.from_us, one.to_us] for one in found.ranges],
                "damaged": [
                    {"from_us": one.from_us, "to_us": one.to_us, "reason": one.reason} for one in found.damaged
                ],
            }
        )

    async def clip(self, request: web.Request) -> web.StreamResponse:
        """A clip as a file to download, exact to the frame."""
        recorder = self._recorder_of(request)
        store = await recorder.store()
        asked = required_range(request.query)
        headers = {"Content-Disposition": f'attachment; filename="{clip_name(recorder, asked.from_us)}"'}
        container = request.query.get("container", "mp4")
        if container == "fmp4":
            return await _stream(request, store._send_video(asked.from_us, asked.to_us), headers)
        if container != "mp4":
            raise RequestError("field-wrong", field="container", value=container, expected="mp4 or fmp4")
        async with store._clip_file(asked.from_us, asked.to_us) as (path, _):
            clip = await off_loop(open_file, path)
            return await send_media(request, clip, 0, clip.size_bytes, lasting=False, headers=headers)

    async def save(self, request: web.Request) -> web.StreamResponse:
        """Save a clip for upload."""
        recorder = self._recorder_of(request)
        if recorder.place.upload_path is None:
            raise RequestError("no-upload-path", value=recorder.name)
        fields = await read_object(request)
        asked = checked_range(time_field(fields, "from_us"), time_field(fields, "to_us"))
        metadata = optional_field(fields, "metadata", str, "a text")
        tags = optional_field(fields, "tags", list, "a list of texts")
        saves = await recorder.saves()
        begun = await saves.start(asked, metadata or "", tags or [])
        return json_answer(begun.answer(), status=202)

    async def save_status(self, request: web.Request) -> web.StreamResponse:
        """What became of a save."""
        saves = await self._recorder_of(request).saves()
        return json_answer(await saves.status(request.match_info["name"]))

    def _recorder_of(self, request: web.Request) -> Recorder:
        return self._recorders.get(request.match_info["id"])


def clip_name(recorder: Recorder, from_us: int) -> str:
    """The name of a clip that is downloaded."""
    return f"{slug(recorder.name)}_{format_local(from_us)}.mp4"


async def _stream(request: web.Request, blocks: AsyncIterator[bytes], headers: dict[str, str]) -> web.StreamResponse:
    """Send a clip while it is made. An error after its beginning ends the connection: it must not look complete. So it
    does where a viewer takes next to nothing, and would keep others from their turn."""
    answer = web.StreamResponse(headers={**headers, "Cache-Control": "no-store"})
    answer.content_type = "video/mp4"
    async with contextlib.aclosing(blocks) as made:  # type: ignore[type-var]
        first = await anext(made, b"")
        await answer.prepare(request)
        try:
            await send_block(request, answer, first)
            async for block in made:
                await send_block(request, answer, block)
        except (VideoStoreError, asyncio.TimeoutError):
            hang_up(request)
            raise asyncio.CancelledError from None
    await answer.write_eof()
    return answer
