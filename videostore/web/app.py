"""The application: the routes of the server, and what every request passes through."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from videostore.base.errors import RequestError
from videostore.base.lanes import take_lane
from videostore.web.answers import Handler, error_answer, errors_as_answers
from videostore.web.api import ApiRoutes
from videostore.web.clip_api import ClipRoutes
from videostore.web.event_api import EventRoutes
from videostore.web.headers import add_headers
from videostore.web.hls import HlsRoutes
from videostore.web.media import hang_up
from videostore.web.metrics import MetricsRoutes
from videostore.web.page_files import PageRoutes
from videostore.web.recorders import Recorders

ANSWER_WITHIN_S = 60.0
"""How long a request of the page may take; a picture may take half of it. What sends video has limits of its own."""
_SENDS_VIDEO = (".mp4", ".m4s")
_LARGEST_BODY = 1 << 16
"""What a client may send: the JSON of a save."""


class Guard(Protocol):
    """Decides which requests are answered, and adds what every answer must have."""

    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or let the handler do it."""
        ...

    def routes(self) -> Sequence[web.RouteDef]:
        """What it answers itself."""
        ...


def make_app(recorders: Recorders, guard: Guard | None = None) -> web.Application:
    """The application that shows recorders. It closes them when it ends. Without a guard it answers all who ask."""
    middlewares: list[Middleware] = [_in_time, errors_as_answers]
    if guard is not None:
        middlewares.insert(1, _as_middleware(guard))
    app = web.Application(middlewares=middlewares, client_max_size=_LARGEST_BODY)
    app.on_response_prepare.append(add_headers)
    app.add_routes(MetricsRoutes(recorders).routes())
    app.add_routes(HlsRoutes(recorders).routes())
    app.add_routes(ApiRoutes(recorders).routes())
    app.add_routes(ClipRoutes(recorders).routes())
    app.add_routes(EventRoutes(recorders).routes())
    app.add_routes(guard.routes() if guard is not None else ())
    app.add_routes(PageRoutes().routes())

    async def close(_: web.Application) -> None:
        await recorders.close()

    app.on_cleanup.append(close)
    return app


@web.middleware
async def _in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give up what a disk that hangs keeps waiting, and a client that does not take its answer."""
    take_lane(None)  # of the request before, on the same connection
    if request.path.endswith(_SENDS_VIDEO):
        return await handler(request)
    try:
        return await asyncio.wait_for(_sent(request, handler), ANSWER_WITHIN_S)
    except asyncio.TimeoutError:
        if request.writer.output_size:  # it has begun
            hang_up(request)
            raise asyncio.CancelledError from None
        return error_answer(RequestError("answer-too-late", limit=ANSWER_WITHIN_S))


async def _sent(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The answer to a request, once the client has taken all but the last of it."""
    answer = await handler(request)
    await answer.prepare(request)
    await answer.write_eof()
    return answer


def _as_middleware(guard: Guard) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await guard.middleware(request, handler)

    return guarded
