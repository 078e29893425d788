"""A JSON object as gRPC carries it: reads a protobuf `Struct`, in which null stays null."""

from __future__ import annotations

from typing import Any

from google.protobuf.struct_pb2 import Struct, Value


def read_object(struct: Struct) -> dict[str, Any]:
    """The object, without the keys whose value is null, at every depth: null is what is not there.

    In a list, where it has a place, null is None. The SDK's `struct_to_dict` makes the number 0 of null, which an
    attribute of another type is then refused with.
    """
    return {key: _read(value) for key, value in struct.fields.items() if not _is_null(value)}


def _read(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return read_object(value.struct_value)
    if kind == "list_value":
        return [_read(item) for item in value.list_value.values]
    return None if _is_null(value) else getattr(value, kind)


def _is_null(value: Value) -> bool:
    # A value without a kind is not valid JSON, and says as little as null.
    return value.WhichOneof("kind") in (None, "null_value")
