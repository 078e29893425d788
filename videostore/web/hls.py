"""HLS: playlists over the segments of a recorder, and their bytes."""

from __future__ import annotations

from aiohttp import web

from videostore.base.constants import MIB, NEIGHBOUR_US, US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.base.timestamps import LATEST_US
from videostore.store.answer_budget import AnswerBudget
from videostore.store.viewing import SegmentKey, Viewing
from videostore.web.borders import ends_before
from videostore.web.growing_playlists import Growing
from videostore.web.media import send_media
from videostore.web.playlists import LESS, TYPE
from videostore.web.range_playlists import MOST_SEGMENTS, simple_playlist, whole_playlist
from videostore.web.recorders import Recorder, Recorders
from videostore.web.segment_bytes import with_header
from videostore.web.times import Query, bound, bounds, checked_range, now_us, number

_OWN_HEADERS = "VLC/"
"""How a player names itself that plays no second segment by the playlists of the others."""
_WITHOUT_GAPS = "GStreamer "
"""And one that waits for as long as a gap is, if the times of all segments are on one clock."""
_BOUNDS = ("from", "from_us", "to", "to_us")
_PLAYLISTS_BYTES = 128 * MIB
"""Playlists of ranges that are made or sent at the same time; the others wait."""
_MADE_BYTES = 8 * MIB
"""What one of `MOST_SEGMENTS` takes while it is made."""
_RECENT_US = 2 * 3600 * US_PER_SECOND
"""A range that begins so late, to the microsecond, grows with the parts of all its segments: a page seeks in it."""


class HlsRoutes:
    """Answers the requests for playlists and segments."""

    def __init__(self, recorders: Recorders) -> None:
        self._recorders = recorders
        self._budget = AnswerBudget(_PLAYLISTS_BYTES)

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.get("/hls/{id}/index.m3u8", self.playlist),
            web.get("/hls/{id}/{key:[0-9-]{1,40}}.mp4", self.segment),
            web.get("/hls/{id}/{key:[0-9-]{1,40}}.{begin:[0-9]{1,12}}-{end:[0-9]{1,12}}.mp4", self.part),
            web.get("/hls/{id}/{key:[0-9-]{1,40}}.m4s", self.fragments),
            web.get("/hls/{id}/{key:[0-9-]{1,40}}.init.mp4", self.header),
        ]

    async def playlist(self, request: web.Request) -> web.StreamResponse:
        """The playlist of a range, or the live one."""
        recorder = self._recorder_of(request)
        player = request.headers.get("User-Agent", "")
        with_headers = player.startswith(_OWN_HEADERS)
        if request.query.keys().isdisjoint(_BOUNDS):
            return _answer(await (await recorder.live()).playlist(with_headers=with_headers))
        with self._budget.room() as room:
            await room.take(_MADE_BYTES)
            without_gaps = player.startswith(_WITHOUT_GAPS)
            text = await _playlist(recorder, request.query, with_headers=with_headers, without_gaps=without_gaps)
            answer = _answer(text)
            room.resize(answer.content_length or 0)
            await answer.prepare(request)
            await answer.write_eof()
        return answer

    async def segment(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a segment."""
        key = _key_of(request)
        start_us = _start_us(request, key)
        found = await (await self._recorder_of(request).segments()).open(key)
        return await send_media(request, found, 0, found.size_bytes, lasting=False, start_us=start_us)

    async def part(self, request: web.Request) -> web.StreamResponse:
        """Some bytes of a segment, behind its header."""
        key = _key_of(request)
        found = await (await self._recorder_of(request).segments()).open(key)
        try:
            part = with_header(found, int(request.match_info["begin"]), int(request.match_info["end"]))
        except RequestError:
            await off_loop(found.file.close)
            raise
        return await send_media(request, part, 0, part.size_bytes, lasting=False, start_us=key.start_us)

    async def fragments(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a segment behind its header."""
        key = _key_of(request)
        start_us = _start_us(request, key)
        found = await (await self._recorder_of(request).segments()).open(key)
        return await send_media(request, found, found.header_bytes, found.size_bytes, lasting=False, start_us=start_us)

    async def header(self, request: web.Request) -> web.StreamResponse:
        """The header of a segment."""
        found = await (await self._recorder_of(request).segments()).open(_key_of(request))
        return await send_media(request, found, 0, found.header_bytes, lasting=False)

    def _recorder_of(self, request: web.Request) -> Recorder:
        return self._recorders.get(request.match_info["id"])


def _answer(playlist: str) -> web.Response:
    return web.Response(text=playlist, content_type=TYPE, headers={"Cache-Control": "no-store"})


def _key_of(request: web.Request) -> SegmentKey:
    key = SegmentKey.parse(request.match_info["key"])
    if key is None:
        raise RequestError("no-such-page")
    return key


def _start_us(request: web.Request, key: SegmentKey) -> int:
    """When a segment starts on the clock of a player, which may leave out gaps."""
    return key.start_us - number(request.query.get(LESS, "0"), LESS, -LATEST_US, key.start_us)


async def _playlist(recorder: Recorder, query: Query, *, with_headers: bool, without_gaps: bool) -> str:
    from_us, to_us = bounds(query)
    viewing = (await recorder.store())._viewing
    first_us, newest_us = await viewing.extent_us()
    from_us = (first_us or 0) if from_us is None else from_us
    if to_us is not None:
        checked_range(from_us, to_us)
    goes_on = to_us is None or await _lacks_frames(recorder, viewing, to_us, newest_us or 0)
    grown = await recorder.growing()
    if "parts_us" in query:
        wholes = number(query.get("wholes", "0"), "wholes", 0, MOST_SEGMENTS)
        growing = Growing(bound(query, "parts") or 0, wholes)
        return await grown.playlist(from_us, to_us, growing, ended=not goes_on, with_headers=with_headers)
    if to_us is None or goes_on:
        is_exact = "from_us" in query and ("to_us" in query or to_us is None)
        return await grown.lead(from_us, to_us, divided=is_exact and from_us >= now_us() - _RECENT_US)
    if with_headers:
        return await simple_playlist(viewing, recorder.tables, Range(from_us, to_us))
    at_us = bound(query, "at")
    at_us = from_us if at_us is None else at_us
    return await whole_playlist(viewing, recorder.tables, Range(from_us, to_us), at_us, without_gaps=without_gaps)


async def _lacks_frames(recorder: Recorder, viewing: Viewing, to_us: int, newest_us: int) -> bool:
    """Whether frames before a time may still come."""
    if to_us > newest_us:
        return to_us > now_us() or await recorder.is_recording()
    newest = await viewing.newest() if to_us > newest_us - NEIGHBOUR_US else None
    if newest is None or newest.is_open or not await ends_before(recorder.tables, newest, to_us):
        return False
    return await recorder.is_recording()  # the next file may be about to appear
