"""Validates the texts of a request."""

from __future__ import annotations

from videostore.base.errors import RequestError, whole_characters

MOST_METADATA_BYTES = 16 * 1024
"""Of the text that is stored with a save and in its clip. An event with its objects takes one or two thousand."""


def request_metadata(text: object) -> str:
    """The metadata of a clip.

    Raises:
        RequestError: it is not a text, or too long.
    """
    metadata = request_text(text, "metadata")
    size_bytes = len(metadata.encode())
    if size_bytes > MOST_METADATA_BYTES:
        raise RequestError("field-too-long", field="metadata", size_bytes=size_bytes, limit_bytes=MOST_METADATA_BYTES)
    return metadata


def request_text(text: object, field: str) -> str:
    """A text with every lone surrogate replaced. `field` is its name in errors.

    Raises:
        RequestError: it is not a text.
    """
    if not isinstance(text, str):
        raise RequestError("field-wrong", field=field, value=text, expected="a string")
    return whole_characters(text)
