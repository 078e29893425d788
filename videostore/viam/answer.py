"""The answer to a command as gRPC carries it, encoded without copies of the clip and sent in small pieces.

The SDK makes a protobuf `Struct` of an answer. For 50,000 stored ranges that takes 5 s in one piece, and for a clip it
takes five copies of it. Here an answer is written in protobuf's wire format, and a clip becomes base64 when it is sent.
"""

from __future__ import annotations

import asyncio
import binascii
import struct
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grpclib.server import Stream

from videostore.base.errors import RequestError
from videostore.base.slices import map_in_slices
from videostore.viam.refusal import Refusal

STALL_S = 60.0
"""A client that takes nothing of its answer for this long does not get the rest."""

_CLIP_BLOCK_BYTES = 3 << 16
"""A multiple of 3: the base64 of the blocks together is that of the whole. It takes less than 1 ms."""
_BLOCK_BYTES = 1 << 18
_HEADER = struct.Struct(">?I")
"""Before a message in gRPC: whether it is compressed, and its size."""

# The fields' tags: their numbers in google/protobuf/struct.proto and viam's common.proto, and their wire types.
_RESULT = b"\x0a"
_ENTRY = _KEY = _ITEM = b"\x0a"
_ENTRY_VALUE = b"\x12"
_NULL, _NUMBER, _TEXT, _FLAG, _STRUCT, _LIST = b"\x08\x00", b"\x11", b"\x1a", b"\x20", b"\x2a", b"\x32"


@dataclass(frozen=True, slots=True)
class Base64Text:
    """Bytes that an answer holds as base64, which is made when it is needed."""

    data: bytes

    @property
    def size(self) -> int:
        """Number of characters."""
        return (len(self.data) + 2) // 3 * 4

    def blocks(self) -> Iterator[bytes]:
        """The text, block by block."""
        view = memoryview(self.data)
        for begin in range(0, len(view), _CLIP_BLOCK_BYTES):
            yield binascii.b2a_base64(view[begin : begin + _CLIP_BLOCK_BYTES], newline=False)

    def __str__(self) -> str:
        return b"".join(self.blocks()).decode("ascii")


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """A `DoCommandResponse` in protobuf's wire format: pieces that are ready, and clips that are not encoded yet."""

    pieces: tuple[bytes | Base64Text, ...]

    @property
    def size(self) -> int:
        """Number of bytes."""
        return sum(piece.size if isinstance(piece, Base64Text) else len(piece) for piece in self.pieces)

    def blocks(self) -> Iterator[bytes]:
        """All bytes, in blocks that are quickly made and sent."""
        for piece in self.pieces:
            if isinstance(piece, Base64Text):
                yield from piece.blocks()
            else:
                for begin in range(0, len(piece), _BLOCK_BYTES):
                    yield piece[begin : begin + _BLOCK_BYTES]


async def encode_answer(answer: Mapping[str, Any]) -> EncodedAnswer:
    """Encode an answer. It can hold what JSON can, and `Base64Text` at the top level.

    A long list at the top level is encoded in slices, so that the loop does its other work between them.

    Raises:
        TypeError: it holds something else.
    """
    pieces: list[bytes | Base64Text] = []
    for key, value in answer.items():
        name = _sized(_KEY, _utf8(key))
        if isinstance(value, Base64Text):
            head = _TEXT + _varint(value.size)
            head = _ENTRY_VALUE + _varint(len(head) + value.size) + head
            pieces += [_ENTRY + _varint(len(name) + len(head) + value.size) + name + head, value]
            continue
        if isinstance(value, list):
            encoded = _sized(_LIST, b"".join(await map_in_slices(_item, value)))
        else:
            encoded = _value(value)
        pieces.append(_sized(_ENTRY, name + _sized(_ENTRY_VALUE, encoded)))
    return EncodedAnswer((_RESULT + _varint(EncodedAnswer(tuple(pieces)).size), *pieces))


def plain_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The same answer with text in place of `Base64Text`. Blocking."""
    return {key: str(value) if isinstance(value, Base64Text) else value for key, value in answer.items()}


async def send_answer(stream: Stream[Any, Any], answer: EncodedAnswer) -> None:
    """Send an answer as the only message of a stream. Between its blocks the loop does its other work.

    Raises:
        GRPCError: the client took nothing for `STALL_S`.
    """
    await stream.send_initial_metadata()
    # `send_message` would need the message as one object, and copy it twice.
    connection = stream._stream
    await connection.send_data(_HEADER.pack(False, answer.size))
    for block in answer.blocks():
        await taken(connection.send_data(block))
        await asyncio.sleep(0)
    stream._send_message_done = True


async def taken(sending: Awaitable[None]) -> None:
    """Wait until a client has taken what is sent to it.

    Raises:
        GRPCError: it took nothing for `STALL_S`.
    """
    try:
        await asyncio.wait_for(sending, STALL_S)
    except asyncio.TimeoutError as error:
        raise Refusal(RequestError("answer-not-taken", within_s=STALL_S)).grpc_error from error


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return _sized(_TEXT, _utf8(value))
    if isinstance(value, bool):
        return _FLAG + (b"\x01" if value else b"\x00")
    if value is None:
        return _NULL
    if isinstance(value, (int, float)):
        return _NUMBER + struct.pack("<d", value)
    if isinstance(value, Mapping):
        entries = (
            _sized(_ENTRY, _sized(_KEY, _utf8(key)) + _sized(_ENTRY_VALUE, _value(one))) for key, one in value.items()
        )
        return _sized(_STRUCT, b"".join(entries))
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return _sized(_LIST, b"".join(map(_item, value)))
    raise TypeError(f"an answer cannot hold {type(value).__name__}")


def _item(value: Any) -> bytes:
    return _sized(_ITEM, _value(value))


def _sized(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return b"%b%c%b" % (tag, size, content) if size < 0x80 else b"%b%b%b" % (tag, _varint(size), content)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
