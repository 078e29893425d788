"""The JSON that a request brings, within bounds of size and time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from videostore.base.errors import RequestError, shown
from videostore.base.timestamps import CALENDAR, EARLIEST_US, LATEST_US
from videostore.web.refusal import Refused

MOST_BYTES = 64 * 1024
WITHIN_S = 10.0
TIME = f"whole microseconds since 1970 (UTC), of the days {CALENDAR}"
"""What a time has to be."""
_MOST_DIGITS = 100


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
    found, fault = None, ""
    try:
        text = _decoded(data)
        found = json.loads(text, parse_int=_whole)
    except UnicodeDecodeError as error:
        fault = f"its body is no text, byte {error.start} cannot be read"
    except json.JSONDecodeError as error:
        cut = not text[error.pos :].strip() or error.msg.startswith("Unterminated string")
        fault = f"its body ends too early, after {len(text)} characters" if cut else f"see character {error.pos + 1}"
    except RecursionError:
        fault = "its body is nested too deeply"
    if not isinstance(found, dict):
        fault = fault or f"its body is {shown(found)}"
        raise Refused(RequestError("content-not-json", reason=fault), status=400)  # its type is right
    return found


def time_field(fields: dict[str, Any], name: str) -> int:
    """A time of such an object. It may be written as 1.5e15, as by programs that have no whole numbers.

    Raises:
        RequestError: it is none.
    """
    value = fields.get(name)
    if value is None:
        raise RequestError("field-missing", field=name, expected=TIME)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not EARLIEST_US <= value <= LATEST_US:
        raise RequestError("field-wrong", field=name, value=value, expected=TIME)
    return value


def optional_field(fields: dict[str, Any], name: str, kind: type, expected: str) -> Any:
    """A field of such an object that may be absent or null, which both are None here.

    Raises:
        RequestError: it is something else.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, kind):
        raise RequestError("field-wrong", field=name, value=value, expected=expected)
    return value


def _decoded(data: bytes) -> str:
    """JSON as text, in any of the codings of Unicode. Raises UnicodeDecodeError if it is none."""
    return data.decode(json.detect_encoding(data))


def _whole(digits: str) -> float:
    """Python reads no whole number of thousands of digits. As another number it is too large for every field."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


async def _read(request: web.Request, most_bytes: int) -> bytes:
    data = bytearray()
    async for block in request.content.iter_any():
        data += block
        if len(data) > most_bytes:
            raise Refused(RequestError("body-too-large", limit_bytes=most_bytes))
    return bytes(data)
