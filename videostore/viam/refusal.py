"""A refusal: an error as gRPC carries it to a client, with its status, its sentence, and its data as details."""

from __future__ import annotations

from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as StatusMessage
from grpclib import GRPCError, Status
from grpclib.metadata import encode_grpc_message
from viam.errors import ViamGRPCError

from videostore.base.error_fields import DOMAIN, write_fields
from videostore.base.errors import (
    ConfigError,
    NoRoomError,
    NothingStoredError,
    RequestError,
    TooLargeError,
    UnknownSaveError,
    UnreadableRangeError,
    VideoStoreError,
    whole_characters,
)
from videostore.base.sentences import OTHER

DETAILS_BYTES = 2048
"""Details and the sentence, which they repeat, go into an HTTP/2 header. gRPC's C library accepts 8 KiB of headers in
all by default, and base64 makes this 2.7 KiB. The message is a header of its own, in which a character that is not
ASCII takes three times its bytes: that counts too."""

_STATUS: dict[type[VideoStoreError], Status] = {
    NothingStoredError: Status.NOT_FOUND,
    UnknownSaveError: Status.NOT_FOUND,
    UnreadableRangeError: Status.DATA_LOSS,
    TooLargeError: Status.RESOURCE_EXHAUSTED,
    NoRoomError: Status.RESOURCE_EXHAUSTED,
}

_EXHAUSTED = frozenset({"too-many-videos"})
"""Requests that are right, and may be granted later."""

_PRECONDITIONS = frozenset(
    {
        "storage-device-gone",
        "storage-in-use",
        "storage-not-created",
        "storage-unusable",
        "upload-device-gone",
        "upload-path-unusable",
    }
)
"""Errors of the machine's setup, which its owner has to change: nothing failed inside."""


class Refusal(ViamGRPCError):
    """An error of ours, as the SDK passes it on to a client.

    The client gets the same sentence, and as status details a `google.rpc.ErrorInfo` of the domain `videostore`, with
    the code as `reason` and the fields as `metadata`, in JSON (see `base.error_fields`). Sentence and details together
    take at most `DETAILS_BYTES`: fields that are too long are left out, and after a very long sentence there are no
    details.
    """

    def __init__(self, error: VideoStoreError) -> None:
        sentence = whole_characters(str(error))
        if not isinstance(error, (ConfigError, RequestError)):
            status = Status.FAILED_PRECONDITION if error.code in _PRECONDITIONS else Status.INTERNAL
        elif error.code in _EXHAUSTED:
            status = Status.RESOURCE_EXHAUSTED
        else:
            status = _STATUS.get(type(error), Status.INVALID_ARGUMENT)
        super().__init__(sentence if sentence.endswith((".", "?")) else sentence + ".", status)
        self._error = error

    @property
    def grpc_error(self) -> GRPCError:
        """The error that the SDK's server raises."""
        return GRPCError(self.grpc_code, self.message, self._details())

    def _details(self) -> list[ErrorInfo] | None:
        if self._error.code == OTHER:
            return None
        info = ErrorInfo(reason=self._error.code, domain=DOMAIN)
        whole = StatusMessage(code=self.grpc_code.value, message=self.message)
        whole.details.add().Pack(info)
        encoded_bytes = len(encode_grpc_message(self.message)) - len(self.message.encode())
        left_bytes = DETAILS_BYTES - whole.ByteSize() - encoded_bytes - 2 * _LENGTH_BYTES
        if left_bytes < 0:
            return None
        info.metadata.update(write_fields(self._error.fields, left_bytes))
        return [info]


_LENGTH_BYTES = 2
"""The lengths of the details and of their content take up to this much more when the fields are in."""
