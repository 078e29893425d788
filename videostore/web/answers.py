"""Answers: JSON, and errors with their status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from videostore.base.errors import RequestError, VideoStoreError
from videostore.web.refusal import Refused, error_body, status_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_answer(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in JSON, which no cache keeps."""
    return web.Response(
        text=json.dumps(content, separators=(",", ":")),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def error_answer(error: VideoStoreError) -> web.Response:
    """The answer that an error is: its code, its sentence and its fields."""
    status = status_of(error)
    headers = {"Retry-After": "2"} if status in (429, 503) else None
    return json_answer(error_body(error), status=status, headers=headers)


@web.middleware
async def errors_as_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as JSON. A client that went away is none."""
    try:
        return await handler(request)
    except ConnectionError:
        raise asyncio.CancelledError from None
    except VideoStoreError as error:
        return error_answer(error)
    except web.HTTPNotFound:
        return error_answer(RequestError("no-such-page"))
    except web.HTTPMethodNotAllowed as refused:
        allowed = ", ".join(sorted(refused.allowed_methods))
        unknown = RequestError("method-unknown", value=request.method, expected=allowed)
        raise Refused(unknown, {"Allow": allowed}) from None
