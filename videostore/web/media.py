"""Media: sends bytes of segments, from the file to the socket: large ones without a copy."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from typing import BinaryIO

from aiohttp import web

from videostore.base.constants import MIB
from videostore.base.tasks import off_loop
from videostore.web.first_frames import needs_first, times_from_first
from videostore.web.one_clock import PLAYERS, Written, read_written, times_on_one_clock
from videostore.web.segment_bytes import SegmentFile
from videostore.web.taking import taken

_PIECE_BYTES = MIB // 2
"""So much is brought into the page cache, off the event loop, before the system sends it from there."""
_COPIED_BYTES = MIB // 4
"""So little is copied through memory: that takes less CPU than to have the system send it, and to close the file."""
_TYPE = "video/mp4"
_RANGE = re.compile(r"bytes=([0-9]{0,40})-([0-9]{0,40})", re.IGNORECASE)


async def send_media(
    request: web.Request,
    segment: SegmentFile,
    begin: int,
    end: int,
    *,
    lasting: bool,
    headers: Mapping[str, str] | None = None,
    start_us: int | None = None,
) -> web.StreamResponse:
    """Answer with the bytes from `begin` to `end` of a segment, or what a `Range` names of these; close its file.

    `lasting` bytes never change: caches may keep them. With the start of a segment, players that need it get its times
    on one clock with the others, and browsers those of reordered frames from the first one on.
    """
    try:
        return await _send(request, segment, begin, end, lasting=lasting, headers=headers or {}, start_us=start_us)
    finally:
        if not segment.file.closed:
            await off_loop(segment.file.close)


async def _send(
    request: web.Request,
    segment: SegmentFile,
    begin: int,
    end: int,
    *,
    lasting: bool,
    headers: Mapping[str, str],
    start_us: int | None,
) -> web.StreamResponse:
    total = end - begin
    answer = web.StreamResponse(headers=headers)  # its headers are sent at once, so that the file can follow
    answer.content_type = _TYPE
    answer.headers["Accept-Ranges"] = "bytes"
    answer.headers["Cache-Control"] = "private, max-age=3600" if lasting else "no-store"
    asked = _asked(request, total)
    first, last = (0, total) if asked is None else asked
    if first >= last:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{total}", "Cache-Control": "no-store"})
    if asked is not None:
        answer.set_status(206)
        answer.headers["Content-Range"] = f"bytes {first}-{last - 1}/{total}"
    answer.content_length = last - first
    await answer.prepare(request)
    if request.method == "HEAD":
        return answer
    at, end = begin + first, begin + last
    player = request.headers.get("User-Agent", "")
    written: list[Written] | None = None
    if start_us is not None and player.startswith(PLAYERS):
        written = await off_loop(times_on_one_clock, segment.file, segment.size_bytes, at, end, start_us)
    elif start_us is not None and segment.first_after and needs_first(player):
        later = segment.first_after
        written = await off_loop(times_from_first, segment.file, segment.size_bytes, at, end, later)
    while at < end:
        count = min(_PIECE_BYTES, end - at)
        try:
            await taken(request, _send_piece(request, answer, segment, at, count, written, is_last=at + count == end))
        except asyncio.TimeoutError:
            hang_up(request)
            return answer
        at += count
    await answer.write_eof()
    return answer


def _asked(request: web.Request, total: int) -> tuple[int, int] | None:
    """The bytes that a request is about, from the first one to behind the last one, of so many in all.

    None for everything, as RFC 9110 has it (14.2, 13.1.5): nothing is named, what is named is no range or several, or
    it is asked for only if nothing has changed, which no answer states.
    """
    named = _RANGE.fullmatch(request.headers.get("Range", ""))
    if named is None or "If-Range" in request.headers:
        return None
    if not named[1]:
        return (max(0, total - int(named[2])), total) if named[2] else None
    first, last = int(named[1]), int(named[2]) if named[2] else total - 1
    return None if named[2] and last < first else (first, min(last + 1, total))


async def _send_piece(
    request: web.Request,
    answer: web.StreamResponse,
    segment: SegmentFile,
    at: int,
    count: int,
    written: list[Written] | None,
    *,
    is_last: bool,
) -> None:
    if written is not None:
        data = await off_loop(read_written, segment.file, at, at + count, written)
        if len(data) < count:
            raise ConnectionResetError  # the file was cut meanwhile
        await answer.write(data)
        return
    if segment.is_read:
        await answer.write(await off_loop(_read, segment.file, at, count))
        return
    if is_last and count <= _COPIED_BYTES:
        await answer.write(await off_loop(_read_last, segment.file, at, count))
        return
    await off_loop(_warm, segment.file, at, count)
    if request.transport is None or request.transport.is_closing():
        raise ConnectionResetError
    try:
        await asyncio.get_running_loop().sendfile(request.transport, segment.file, at, count)
    except RuntimeError as error:  # asyncio's word for a connection that is being closed
        raise ConnectionResetError from error


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    """Blocking."""
    file.seek(at)
    data = file.read(count)
    if len(data) < count:
        raise ConnectionResetError  # the file was cut meanwhile
    return data


def _read_last(file: BinaryIO, at: int, count: int) -> bytes:
    """Read the end of what is sent, and close the file. Blocking."""
    with file:
        data = os.pread(file.fileno(), count, at)
    if len(data) < count:
        raise ConnectionResetError  # the file was cut meanwhile
    return data


def _warm(file: BinaryIO, at: int, count: int) -> None:
    """Read a stretch into the page cache. Blocking, and here it waits for the disk."""
    room = bytearray(1 << 16)
    while count > 0:
        got = os.preadv(file.fileno(), [room], at)
        if not got:
            raise ConnectionResetError  # the file was cut meanwhile
        at, count = at + got, count - got


async def send_block(request: web.Request, answer: web.StreamResponse, block: bytes) -> None:
    """Send some bytes of an answer that has begun.

    Raises:
        asyncio.TimeoutError: the client takes next to nothing of it for a minute.
    """
    for begin in range(0, len(block), _PIECE_BYTES):
        await taken(request, answer.write(block[begin : begin + _PIECE_BYTES]))


def hang_up(request: web.Request) -> None:
    """End the connection at once: what was sent is not complete, and must not look so."""
    if request.transport is not None:
        request.transport.abort()
