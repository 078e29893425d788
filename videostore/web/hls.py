"""HLS: playlists over the segments of a recorder, and their bytes."""

from __future__ import annotations

from aiohttp import web

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.store.viewing import SegmentKey, ViewedSegment
from videostore.web.media import send_media
from videostore.web.parts import Part, PartTable, keyed_parts
from videostore.web.playlists import TYPE, Entry, playlist
from videostore.web.recorders import Recorder, Recorders
from videostore.web.times import bound, checked_range, now_us

MOST_SEGMENTS = 10_000
"""Of one playlist: three days of segments of 30 s, and 2 MB of text."""
_TABLES_READ = 40
"""Segments whose parts are read for one playlist: those where playing begins. The others are in it as a whole, as long
as their parts are not known."""
_FINE_US = 600 * US_PER_SECOND


class HlsRoutes:
    """Answers the requests for playlists and segments."""

    def __init__(self, recorders: Recorders) -> None:
        self._recorders = recorders

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.get("/hls/{id}/index.m3u8", self.playlist),
            web.get("/hls/{id}/{key:[0-9-]{1,40}}.mp4", self.segment),
            web.get("/hls/{id}/{key:[0-9-]{1,40}}.m4s", self.fragments),
            web.get("/hls/{id}/{key:[0-9-]{1,40}}.init.mp4", self.header),
        ]

    async def playlist(self, request: web.Request) -> web.StreamResponse:
        """The playlist of a range, or the live one."""
        recorder = self._recorders.get(request.match_info["id"])
        from_us = bound(request.query, "from")
        to_us = bound(request.query, "to", from_us)
        if from_us is None and to_us is None:
            text = await (await recorder.live()).playlist()
        else:
            asked = checked_range(0 if from_us is None else from_us, now_us() if to_us is None else to_us)
            at_us = bound(request.query, "at")
            text = await _range_playlist(recorder, asked, asked.from_us if at_us is None else at_us)
        return web.Response(text=text, content_type=TYPE, headers={"Cache-Control": "no-store"})

    async def segment(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a segment."""
        found = await (await self._recorder_of(request).segments()).open(_key_of(request))
        return await send_media(request, found, 0, found.size_bytes, lasting=False)

    async def fragments(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a segment behind its header."""
        found = await (await self._recorder_of(request).segments()).open(_key_of(request))
        return await send_media(request, found, found.header_bytes, found.size_bytes, lasting=False)

    async def header(self, request: web.Request) -> web.StreamResponse:
        """The header of a segment."""
        found = await (await self._recorder_of(request).segments()).open(_key_of(request))
        return await send_media(request, found, 0, found.header_bytes, lasting=False)

    def _recorder_of(self, request: web.Request) -> Recorder:
        return self._recorders.get(request.match_info["id"])


def _key_of(request: web.Request) -> SegmentKey:
    key = SegmentKey.parse(request.match_info["key"])
    if key is None:
        raise RequestError("no-such-page")
    return key


async def _range_playlist(recorder: Recorder, asked: Range, at_us: int) -> str:
    store = await recorder.store()
    segments = await store._viewing.segments(asked.from_us, asked.to_us, MOST_SEGMENTS + 1)
    if len(segments) > MOST_SEGMENTS:
        raise RequestError("playlist-too-long", from_us=asked.from_us, to_us=asked.to_us, limit=MOST_SEGMENTS)
    near = sorted(segments, key=lambda one: _distance_us(one, at_us))
    read = {one.key for one in near[:_TABLES_READ] if _distance_us(one, at_us) <= _FINE_US}
    entries: list[Entry] = []
    for one in segments:
        table = recorder.tables.known(one.key)
        if table is None and (one.is_open or one.key in read):
            table = await recorder.tables.read(one)
        entries += _entries(one, table, asked)
    last = segments[-1] if segments else None
    following = last is not None and last.is_open and last.segment.end_us < asked.to_us
    return playlist(entries, ended=not following)


def _distance_us(one: ViewedSegment, at_us: int) -> int:
    return max(0, one.segment.start_us - at_us, at_us - one.segment.end_us)


def _entries(one: ViewedSegment, table: PartTable | None, asked: Range) -> list[Entry]:
    if table is None:
        whole = Part(one.segment.start_us, one.segment.end_us, 0, one.segment.size_bytes, keyed=True)
        return [Entry(one.key, None, whole)]
    parts = [part for part in keyed_parts(table) if part.end_us > asked.from_us and part.start_us < asked.to_us]
    return [Entry(one.key, table.header_bytes, part) for part in parts]
