"""The JSON that a request brings, within bounds of size and time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from videostore.base.errors import RequestError
from videostore.base.timestamps import CALENDAR, EARLIEST_US, LATEST_US
from videostore.web.refusal import Refused

MOST_BYTES = 64 * 1024
WITHIN_S = 10.0


async def read_object(request: web.Request, most_bytes: int = MOST_BYTES, within_s: float = WITHIN_S) -> dict[str, Any]:
    """The object that a request brings; empty if it brings nothing.

    Raises:
        Refused: it is something else, is too large, or comes too slowly.
    """
    try:
        data = await asyncio.wait_for(_read(request, most_bytes), within_s)
    except asyncio.TimeoutError:
        raise Refused(RequestError("body-too-slow", within_s=within_s)) from None
    if not data:
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(RequestError("content-not-json"), status=400)  # its type is right
    return found


def time_field(fields: dict[str, Any], name: str) -> int:
    """A time of such an object.

    Raises:
        RequestError: it is none.
    """
    value = fields.get(name)
    expected = f"microseconds since 1970 (UTC), of the days {CALENDAR}"
    if value is None:
        raise RequestError("field-missing", field=name, expected=expected)
    if isinstance(value, bool) or not isinstance(value, int) or not EARLIEST_US <= value <= LATEST_US:
        raise RequestError("field-wrong", field=name, value=value, expected=expected)
    return value


async def _read(request: web.Request, most_bytes: int) -> bytes:
    data = bytearray()
    async for block in request.content.iter_any():
        data += block
        if len(data) > most_bytes:
            raise Refused(RequestError("body-too-large", limit_bytes=most_bytes))
    return bytes(data)
