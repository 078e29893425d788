"""Errors as the server answers with them: a code, a sentence and the fields, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from videostore.base.error_fields import write_fields
from videostore.base.errors import VideoStoreError

_FIELD_BYTES = 4096


class Refused(web.HTTPError):
    """Ends a request with an error of ours and a status of HTTP."""

    def __init__(self, error: VideoStoreError, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status
        super().__init__(text=json.dumps(error_body(error)), content_type="application/json", headers=headers)
        self.error = error


def error_body(error: VideoStoreError) -> dict[str, Any]:
    """What a client gets of an error. No field takes the place of the code or the sentence."""
    fields = {name: json.loads(text) for name, text in write_fields(error.fields, _FIELD_BYTES).items()}
    return {**fields, "error": error.code, "message": error.sentence()}
