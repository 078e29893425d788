"""Writes any value as JSON does, for people who wrote it in JSON: `true`, not `True`."""

from __future__ import annotations

import json
from collections.abc import Mapping


def json_text(value: object) -> str:
    """The value as JSON, with whole numbers in place of floats that are whole; what JSON lacks as Python writes it.

    Raises:
        ValueError: a number has thousands of digits, or the value contains itself.
        RecursionError: it is nested too deeply.
    """
    if value is None or isinstance(value, (int, float, Mapping, list, tuple)):
        return json.dumps(_whole(value), ensure_ascii=False, default=repr)
    return repr(value)


def kind_word(value: object) -> str:
    """What kind of value it is, in a word of JSON."""
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"


def _whole(value: object) -> object:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, (list, tuple)) else value
