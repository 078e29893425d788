"""Converts the fields of an error to text and back, so that an error can be sent to another program.

gRPC transmits the code, the fields and the sentence of an error as separate texts: `videostore.viam` writes them and
`videostore.remote` reads them. They come from another machine with any version, so nothing in them is trusted.
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import VideoStoreError, class_of, whole_characters
from videostore.base.ranges import Range

DOMAIN = "videostore"
"""Names the program that defines the codes, in gRPC's error details."""
FIELD_OVERHEAD_BYTES = 12
"""Bytes that protobuf adds to the name and the text of a field: tags and lengths, in an entry of a map."""

_DEEPEST = 16
"""Of the lists and objects in a value. Some parsers of JSON give up at 32."""
_LARGEST = 1 << 63
"""Numbers below it can be computed with as floats. The fields of our errors are far smaller."""
_DAY_US = 86_400 * US_PER_SECOND
_EARLIEST_US, _LATEST_US = -719_160 * _DAY_US, 2_932_894 * _DAY_US
"""The years 1 to 9999 without their first and last days, so that every time zone can show such a time."""


def write_fields(fields: Mapping[str, Any], limit_bytes: int) -> dict[str, str]:
    """Write each field as JSON: a `Range` as an object with `from_us` and `to_us`, a path as its text.

    Together the fields take at most `limit_bytes`: the longest are left out if necessary. A value that JSON cannot
    express is left out too, and one that is nested so deeply that the JSON of some programs cannot be.
    """
    texts: dict[str, str] = {}
    for name, value in fields.items():
        try:
            texts[name] = json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            continue
        if _is_deep(value, _DEEPEST):
            del texts[name]
    sizes = {name: len(name.encode()) + len(text) + FIELD_OVERHEAD_BYTES for name, text in texts.items()}
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if sum(sizes.values()) > limit_bytes:
            del sizes[name]
    return {name: text for name, text in texts.items() if name in sizes}


def read_error(code: str, texts: Mapping[str, str], sentence: str) -> VideoStoreError | None:
    """The error with this code and with the fields that are valid for it; None if this version has no such code.

    If a field that its sentence needs is missing or invalid, the text of the error is `sentence`, which came with it.
    """
    kind = class_of(code)
    if kind is None:
        return None
    types = _declared_types(kind)
    fields = {}
    for name, text in texts.items():
        if name not in types and hasattr(kind, name):  # methods, for instance
            continue
        try:
            fields[name] = _read(name, json.loads(text, parse_constant=_refuse), types.get(name, Any))
        except (ValueError, RecursionError):
            continue
    fields.pop("message", None)
    error = kind(code, **fields)
    return error if error.is_complete() else kind(code, **fields, message=sentence)


def describe_error(error: VideoStoreError, limit_bytes: int) -> dict[str, Any]:
    """An error as a line of JSON holds it; its fields take at most `limit_bytes`."""
    return {"code": error.code, "fields": write_fields(error.fields, limit_bytes), "sentence": str(error)}


def described_error(found: Mapping[str, Any]) -> VideoStoreError:
    """The error of such a description; with its sentence alone if this version has no such code.

    Raises:
        KeyError, TypeError, AttributeError: it is none.
    """
    sentence = str(found["sentence"])
    return read_error(found["code"], found["fields"], sentence) or VideoStoreError("other", message=sentence)


def _is_deep(value: object, deepest: int) -> bool:
    """Whether lists and objects of a value are nested deeper than that."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return False
    return deepest == 0 or any(_is_deep(one, deepest - 1) for one in value)


def _plain(value: object) -> Any:
    if isinstance(value, Range):
        return {"from_us": value.from_us, "to_us": value.to_us}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)


def _declared_types(kind: type[VideoStoreError]) -> dict[str, Any]:
    """The types of the declared fields of a class, by name."""
    hints = typing.get_type_hints(kind)
    return {name: hint for name, hint in hints.items() if typing.get_origin(hint) is not ClassVar}


def _read(name: str, value: Any, declared: Any) -> Any:
    """A field from its JSON value. Raises ValueError if its type is not the declared one, or it is out of range."""
    allowed: Iterable[Any] = typing.get_args(declared) or (declared,)
    if Range in allowed and isinstance(value, dict):
        value = _range(value)
    elif float in allowed and type(value) is int:
        value = float(value) if abs(value) < _LARGEST else value
    a_list = str in allowed and isinstance(value, list) and all(isinstance(one, str) for one in value)
    if declared is not Any and type(value) not in allowed and not a_list:
        raise ValueError(name)
    if isinstance(value, (int, float)) and not (abs(value) < _LARGEST and math.isfinite(value)):
        raise ValueError(name)
    if name.endswith("_us"):
        _check_time(value)
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        return [whole_characters(one) if isinstance(one, str) else one for one in value]
    return value


def _range(value: dict[str, Any]) -> Range:
    if value.keys() != {"from_us", "to_us"}:
        raise ValueError("not a range")
    for time_us in value.values():
        _check_time(time_us)
    return Range(**value)


def _check_time(time_us: Any) -> None:
    if type(time_us) is not int or not _EARLIEST_US <= time_us <= _LATEST_US:
        raise ValueError("not a time")


def _refuse(constant: str) -> Any:
    """Python's JSON has NaN and Infinity. No field has such a value."""
    raise ValueError(constant)
