"""The limits of requests: what is too large is refused before it is received, and what cannot be decoded in words.

grpclib has no limit. It would keep a request of any size in memory, and decode it on the event loop in one piece: 64 MB
of JSON take seconds, in which nothing is recorded. Responses to the module's own calls, such as images, have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct
from grpclib.events import RecvRequest, listen
from grpclib.server import Server, Stream

from videostore.base.errors import RequestError
from videostore.base.tasks import off_loop
from videostore.viam.refusal import Refusal

LIMIT_BYTES = 1 << 18
"""Ten times the longest request that can be accepted. Decoding the worst JSON of this size takes 20 ms."""

_QUICK_BYTES = 1 << 12
"""Making Python objects of the worst JSON of this size takes 2 ms, of a request as large as the limit 100 ms."""
_T = TypeVar("_T")


def limit_requests(server: Server) -> None:
    """Let a server that has not started yet refuse requests of more than `LIMIT_BYTES`, and those that cannot be
    decoded, whatever their method is."""
    listen(server, RecvRequest, _limit)


async def read_json(read: Callable[[Struct], _T], sent: Struct) -> _T:
    """Make Python objects of a request's JSON: in a thread if that takes long, so that the loop does its other work."""
    return await off_loop(read, sent) if sent.ByteSize() > _QUICK_BYTES else read(sent)


async def _limit(event: RecvRequest) -> None:
    handle = event.method_func

    async def handle_limited(stream: Stream[Any, Any]) -> None:
        connection: Any = stream._stream
        receive, receive_message = connection.recv_data, stream.recv_message

        async def receive_limited(size: int) -> bytes:
            # grpclib asks for five bytes, which tell the size, and then for the whole message.
            if size > LIMIT_BYTES:
                raise Refusal(RequestError("request-too-large", size_bytes=size, limit_bytes=LIMIT_BYTES)).grpc_error
            return bytes(await receive(size))

        async def receive_decoded() -> Any:
            try:
                return await receive_message()
            except DecodeError as error:
                raise Refusal(RequestError("request-unreadable")).grpc_error from error

        connection.recv_data = receive_limited
        stream.recv_message = receive_decoded  # type: ignore[method-assign]
        await handle(stream)

    event.method_func = handle_limited
