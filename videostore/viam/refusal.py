"""A refusal: an error as gRPC carries it to a client, with its status, its sentence, and its data as details."""

from __future__ import annotations

from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as StatusMessage
from grpclib import GRPCError, Status
from grpclib.metadata import encode_grpc_message
from viam.errors import ViamGRPCError

from videostore.base.error_fields import DOMAIN, write_fields
from videostore.base.error_kinds import ErrorKind, kind_of
from videostore.base.errors import VideoStoreError, whole_characters
from videostore.base.sentences import OTHER

DETAILS_BYTES = 2048
"""Details and the sentence, which they repeat, go into an HTTP/2 header. gRPC's C library accepts 8 KiB of headers in
all by default, and base64 makes this 2.7 KiB. The message is a header of its own, in which a character that is not
ASCII takes three times its bytes: that counts too."""

_STATUS = {
    ErrorKind.WRONG: Status.INVALID_ARGUMENT,
    ErrorKind.UNKNOWN: Status.NOT_FOUND,
    ErrorKind.UNREADABLE: Status.DATA_LOSS,
    ErrorKind.TOO_LARGE: Status.RESOURCE_EXHAUSTED,
    ErrorKind.NO_ROOM: Status.RESOURCE_EXHAUSTED,
    ErrorKind.TOO_MANY: Status.RESOURCE_EXHAUSTED,
    ErrorKind.NOT_YET: Status.UNAVAILABLE,
    ErrorKind.ENDED: Status.ABORTED,
    ErrorKind.TAKEN: Status.FAILED_PRECONDITION,
    ErrorKind.SETUP: Status.FAILED_PRECONDITION,
    ErrorKind.FAILED: Status.INTERNAL,
}


class Refusal(ViamGRPCError):
    """An error of ours, as the SDK passes it on to a client.

    The client gets the same sentence, and as status details a `google.rpc.ErrorInfo` of the domain `videostore`, with
    the code as `reason` and the fields as `metadata`, in JSON (see `base.error_fields`). Sentence and details together
    take at most `DETAILS_BYTES`: fields that are too long are left out, and after a very long sentence there are no
    details.
    """

    def __init__(self, error: VideoStoreError) -> None:
        sentence = whole_characters(str(error))
        super().__init__(sentence if sentence.endswith((".", "?")) else sentence + ".", _STATUS[kind_of(error)])
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
