"""Answers: JSON, and errors with their status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from videostore.base.errors import (
    ConfigError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    TooLargeError,
    UnknownSaveError,
    UnreadableRangeError,
    VideoStoreError,
)
from videostore.base.ranges import Range
from videostore.web.refusal import Refused

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STATUS_BY_CODE = {
    "no-such-recorder": 404,
    "no-such-page": 404,
    "page-missing": 404,
    "segment-gone": 404,
    "event-unknown": 404,
    "mark-while-recording": 409,
    "playlist-too-long": 413,
    "answer-too-late": 503,
    "recorder-opening": 503,
    "recorder-not-readable": 503,
    "too-many-requests": 429,
    "too-many-saves": 429,
    "too-many-videos": 429,
}
_STATUS_BY_CLASS: tuple[tuple[type[VideoStoreError], int], ...] = (
    (NothingStoredError, 404),
    (UnknownSaveError, 404),
    (UnreadableRangeError, 404),
    (TooLargeError, 413),
    (NoRoomError, 507),
    (RequestError, 400),
    (ConfigError, 400),
)


def json_answer(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in JSON, which no cache keeps."""
    return web.Response(
        text=json.dumps(content, separators=(",", ":"), default=_plain),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def error_answer(error: VideoStoreError) -> web.Response:
    """The answer that an error is: its code, its sentence and its fields."""
    fields = {name: value for name, value in error.fields.items() if name not in ("error", "message")}
    status = status_of(error)
    headers = {"Retry-After": "2"} if status in (429, 503) else None
    return json_answer({"error": error.code, "message": str(error), **fields}, status=status, headers=headers)


def status_of(error: VideoStoreError) -> int:
    """The HTTP status of an error."""
    if error.code in _STATUS_BY_CODE:
        return _STATUS_BY_CODE[error.code]
    return next((status for kind, status in _STATUS_BY_CLASS if isinstance(error, kind)), 503)


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
        raise Refused(unknown, 405, {"Allow": allowed}) from None


def _plain(value: object) -> object:
    if isinstance(value, Range):
        return {"from_us": value.from_us, "to_us": value.to_us}
    if isinstance(value, Path):
        return str(value)
    return str(value)
