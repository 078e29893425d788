"""Why a call to a machine failed, as an error: the machine's own, with its code and fields, or one of the connection.

The data of the machine's error comes as gRPC status details. They may be missing: modules of version 0.1.0 send none,
the Viam SDK's library for WebRTC passes on only the status and the text, and a Go server in between may keep only the
text, after "rpc error: code = NotFound desc = ". Then the class comes from the status, and the sentence is the text.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import re
from collections.abc import Iterator

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from grpclib import GRPCError, Status
from grpclib.exceptions import ProtocolError, StreamTerminatedError

from videostore.base.error_fields import DOMAIN, read_error
from videostore.base.error_text import plain_text
from videostore.base.errors import (
    MachineError,
    NothingStoredError,
    RequestError,
    TooLargeError,
    UnreadableRangeError,
    VideoStoreError,
    reason_of,
)

LOST = (StreamTerminatedError, ProtocolError, ConnectionError)
"""What the SDK raises when a connection ends."""

_CLASSES: dict[Status, type[VideoStoreError]] = {
    Status.NOT_FOUND: NothingStoredError,
    Status.DATA_LOSS: UnreadableRangeError,
    Status.RESOURCE_EXHAUSTED: TooLargeError,
    Status.INVALID_ARGUMENT: RequestError,
}
"""The class of an error without details."""

_TOO_LARGE = "received message larger than max"
"""What gRPC for Go says of a message over its limit."""
_NOT_IMPLEMENTED = "NotImplementedError"
"""What a camera in Python without commands says."""
_GO_PREFIX = re.compile(r"^(?:rpc error: code = (\w+) desc = )+")
"""How gRPC for Go writes a status as text, once for each server on the way; the group is the first server's code."""
_GO_CODES = {"".join(word.capitalize() for word in status.name.split("_")): status for status in Status}
_GO_CODES["Canceled"] = Status.CANCELLED


@contextlib.contextmanager
def translated_errors(address: str, component: str, timeout_s: float) -> Iterator[None]:
    """Raise every failure of a call as an error of ours.

    Raises:
        VideoStoreError: the machine refuses the command, or fails: of the class that its error has there.
        MachineError: the machine does not respond, or not as a recorder does.
    """
    try:
        yield
    except GRPCError as error:
        raise error_of(error, component) from error
    except (DecodeError, binascii.Error) as error:  # status details that grpclib cannot read
        raise MachineError("not-a-recorder-but", component=component, reason=reason_of(error)) from error
    except asyncio.TimeoutError as error:
        raise MachineError("machine-timeout", address=address, timeout_s=timeout_s) from error
    except (OSError, *LOST) as error:
        raise MachineError("connection-lost", address=address, reason=message_of(error)) from error


def error_of(error: GRPCError, component: str) -> VideoStoreError:
    """What a failed call to a recorder means."""
    sentence = message_of(error)
    sentence += "" if sentence.endswith((".", "?")) else "."
    for detail in error.details or ():
        if isinstance(detail, ErrorInfo) and detail.domain == DOMAIN:
            with_data = read_error(detail.reason, detail.metadata, sentence)
            if with_data is not None:
                return with_data
    if _TOO_LARGE in sentence:
        return TooLargeError("answer-too-large", component=component)
    if sentence.startswith(_NOT_IMPLEMENTED):
        return MachineError("not-a-recorder", component=component)
    status = status_of(error)
    if status in _CLASSES:
        return _CLASSES[status]("other", message=sentence)
    if status in (Status.UNKNOWN, Status.UNIMPLEMENTED):
        return MachineError("not-a-recorder-but", component=component, reason=sentence)
    return MachineError("other", message=sentence)


def status_of(error: GRPCError) -> Status:
    """The status that the first server gave, which a Go server on the way may have put into the text."""
    found = _GO_PREFIX.match(error.message or "")
    return _GO_CODES.get(found[1], error.status) if found else error.status


def message_of(error: BaseException) -> str:
    """The text of an error, without what gRPC for Go puts before it."""
    if not isinstance(error, GRPCError):
        return reason_of(error)
    return plain_text(_GO_PREFIX.sub("", error.message or "")) or status_of(error).name
