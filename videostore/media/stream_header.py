"""The header of a fragmented MP4: what comes before its first fragment, and what it tells."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

from videostore.media.boxes import MAX_HEADER_BYTES
from videostore.media.lenient_tags import lenient_tags, tags_of
from videostore.media.libav import av

_BOX_BYTES = 8
_KINDS = (b"ftyp", b"moov")
_FRAGMENT = b"moof"


def header_bytes(begun: bytes) -> int | None:
    """How many bytes the header takes of a file whose first bytes are given; None if more of them are needed.

    Raises:
        ValueError: it is not a fragmented MP4.
    """
    at = 0
    while len(begun) >= at + _BOX_BYTES:
        size, kind = struct.unpack_from(">I4s", begun, at)
        if kind == _FRAGMENT and at:
            return at
        if kind not in _KINDS or not _BOX_BYTES <= size <= MAX_HEADER_BYTES:
            raise ValueError("it does not begin with the header of a fragmented MP4")
        at += size
    return None


def tell_the_same(one: bytes, other: bytes) -> bool:
    """Whether two headers tell the same tracks and tags. They may differ in the bitrate of sound, which a muxer finds
    from the first fragment. Blocking."""
    if one == other:
        return True
    try:
        return list(_told(one)) == list(_told(other))
    except (av.error.FFmpegError, ValueError):
        return False


def _told(header: bytes) -> Iterator[Any]:
    with av.open(io.BytesIO(header), format="mp4", **lenient_tags()) as container:
        yield tags_of(container)
        for stream in container.streams:
            context: Any = stream.codec_context
            yield stream.type, stream.time_base, context.name, context.codec_tag, context.extradata
            if stream.type == "video":
                yield (
                    context.width,
                    context.height,
                    context.sample_aspect_ratio,
                    context.color_range,
                    context.colorspace,
                )
            else:
                yield context.sample_rate, context.layout.name
