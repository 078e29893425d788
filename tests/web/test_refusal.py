"""Errors as a client of the server gets them."""

from __future__ import annotations

import json
from pathlib import Path

from videostore.base.errors import RequestError, VideoStoreError
from videostore.base.ranges import Range
from videostore.web.refusal import Refused, error_body


def test_it_has_the_code_the_sentence_and_the_fields() -> None:
    refused = Refused(RequestError("too-many-attempts", wait_s=30), {"Retry-After": "30"})
    assert (refused.status, refused.headers["Retry-After"], refused.content_type) == (429, "30", "application/json")
    assert json.loads(refused.text or "") == {
        "error": "too-many-attempts",
        "message": "Too many wrong passwords were sent. Try again in 30 s.",
        "wait_s": 30,
    }


def test_fields_of_any_type_can_be_sent_and_none_takes_the_place_of_the_code() -> None:
    error = VideoStoreError("storage-missing", path=Path("/x"), asked=Range(1, 2), error="y", message="z", odd=object())
    assert error_body(error) == {
        "error": "storage-missing",
        "message": "z",
        "path": "/x",
        "asked": {"from_us": 1, "to_us": 2},
    }
