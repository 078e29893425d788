"""Errors as the server answers with them: a status, a code, a sentence and the fields, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from videostore.base.error_fields import write_fields
from videostore.base.error_kinds import ErrorKind, kind_of
from videostore.base.errors import VideoStoreError

_FIELD_BYTES = 4096
_STATUS = {
    ErrorKind.WRONG: 400,
    ErrorKind.UNKNOWN: 404,
    ErrorKind.UNREADABLE: 404,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.NO_ROOM: 507,
    ErrorKind.TOO_MANY: 429,
    ErrorKind.NOT_YET: 503,
    ErrorKind.ENDED: 409,
    ErrorKind.TAKEN: 409,
    ErrorKind.SETUP: 503,
    ErrorKind.FAILED: 503,
}
_OF_HTTP = {
    "body-too-large": 413,
    "body-too-slow": 408,
    "content-not-json": 415,
    "host-unknown": 403,
    "method-unknown": 405,
    "origin-foreign": 403,
    "password-needed": 401,
    "password-wrong": 401,
    "too-many-attempts": 429,
}
"""Codes of requests of HTTP themselves, which have statuses of their own."""


class Refused(web.HTTPError):
    """Ends a request with an error of ours."""

    def __init__(
        self, error: VideoStoreError, headers: Mapping[str, str] | None = None, *, status: int | None = None
    ) -> None:
        self.status_code = status_of(error) if status is None else status
        super().__init__(text=json.dumps(error_body(error)), content_type="application/json", headers=headers)
        self.error = error


def status_of(error: VideoStoreError) -> int:
    """The HTTP status of an error."""
    return _OF_HTTP.get(error.code) or _STATUS[kind_of(error)]


def error_body(error: VideoStoreError) -> dict[str, Any]:
    """What a client gets of an error. No field takes the place of the code or the sentence."""
    fields = {name: json.loads(text) for name, text in write_fields(error.fields, _FIELD_BYTES).items()}
    return {**fields, "error": error.code, "message": str(error)}
