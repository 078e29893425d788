"""Validates the texts of a request."""

from __future__ import annotations

from videostore.base.errors import RequestError, whole_characters


def request_text(text: object, field: str) -> str:
    """A text with every lone surrogate replaced. `field` is its name in errors.

    Raises:
        RequestError: it is not a text.
    """
    if not isinstance(text, str):
        raise RequestError("field-wrong", field=field, value=text, expected="a string")
    return whole_characters(text)
