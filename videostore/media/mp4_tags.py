"""Changes a tag of a finished MP4, and moves its index to the front: what libav can do only before it writes the file.

The tags are in `moov/udta/meta/ilst`, and `moov` is the last box. When it grows, nothing that it points to moves; when
it goes to the front of the file, the chunk offsets in it are raised by its size.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_PATH_TO_TAGS = (b"moov", b"udta", b"meta", b"ilst")
_PATH_TO_OFFSETS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_LONG_DESCRIPTION = b"ldes"
"""What ffmpeg calls `synopsis`."""
_TEXT = 1
"""UTF-8, as the type of a tag's value."""
_META_BYTES = 4
"""The version and the flags before the boxes in `meta`."""
_HANDLER = struct.pack(">I4s8x4s4s9x", 33, b"hdlr", b"mdir", b"appl")


def write_synopsis(path: Path, text: str | None, *, faststart: bool = False) -> None:
    """Replace the tag `synopsis` of an MP4, or remove it. With `faststart` its index goes to the front. Blocking.

    Raises:
        ValueError: the file is not an MP4 whose index is its last box.
        OSError: it cannot be written.
    """
    with path.open("r+b") as file:
        begin = _last_box(file, b"moov")
        file.seek(begin)
        try:
            index = _with_tag(file.read(), _PATH_TO_TAGS, text)
            if faststart:
                index = _with_offsets(index, _PATH_TO_OFFSETS, len(index))
        except struct.error as error:
            raise ValueError("its index is damaged") from error
        if not faststart:
            file.seek(begin)
            file.write(index)
            file.truncate()
            return
        file.seek(0)
        front = path.with_name(f"{path.name}.front")
        with front.open("wb") as target:
            size, _ = struct.unpack(">I4s", file.read(8))
            file.seek(0)
            target.write(file.read(size))  # `ftyp`
            target.write(index)
            _copy(file, target, begin - size)
    os.replace(front, path)


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> None:
    while count > 0:
        block = source.read(min(count, shutil.COPY_BUFSIZE))  # type: ignore[attr-defined]
        if not block:
            raise ValueError("it is shorter than it was")
        target.write(block)
        count -= len(block)


def _last_box(file: BinaryIO, kind: bytes) -> int:
    """The position of the last box, which must be of this kind."""
    file_bytes = file.seek(0, os.SEEK_END)
    begin = 0
    while begin + 16 <= file_bytes:
        file.seek(begin)
        size, found, large = struct.unpack(">I4sQ", file.read(16))
        size = large if size == 1 else size
        if size < 8 or begin + size > file_bytes:
            break
        if begin + size == file_bytes and found == kind:
            return begin
        begin += size
    raise ValueError("its index is not at its end")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and whole content of each box in `data`, with its header."""
    begin = 0
    while begin < len(data):
        size, kind = struct.unpack_from(">I4s", data, begin)
        if size < 8 or begin + size > len(data):
            raise ValueError("its index is damaged")
        yield kind, data[begin : begin + size]
        begin += size


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _with_tag(data: bytes, path: tuple[bytes, ...], text: str | None) -> bytes:
    """The boxes of `data`, with the tag in the box to which the path leads, which is made if it is missing."""
    kind, *rest = path
    changed, found = [], False
    for name, box in _boxes(data):
        if name == kind and not found:
            found = True
            box = _box(kind, _changed(kind, box[8:], tuple(rest), text))
        changed.append(box)
    if not found:
        empty = bytes(_META_BYTES) + _HANDLER if kind == b"meta" else b""
        changed.append(_box(kind, _changed(kind, empty, tuple(rest), text)))
    return b"".join(changed)


def _changed(kind: bytes, content: bytes, rest: tuple[bytes, ...], text: str | None) -> bytes:
    if not rest:
        kept = [box for name, box in _boxes(content) if name != _LONG_DESCRIPTION]
        if text is not None:
            kept.append(_box(_LONG_DESCRIPTION, _box(b"data", struct.pack(">II", _TEXT, 0) + text.encode())))
        return b"".join(kept)
    head = _META_BYTES if kind == b"meta" else 0
    return content[:head] + _with_tag(content[head:], rest, text)


def _with_offsets(data: bytes, path: tuple[bytes, ...], by: int) -> bytes:
    """The boxes of `data`, with every chunk offset in the boxes to which the path leads raised."""
    changed = []
    for name, box in _boxes(data):
        if path and name == path[0]:
            box = _box(name, _with_offsets(box[8:], path[1:], by))
        elif not path and name in (b"stco", b"co64"):
            form = "I" if name == b"stco" else "Q"
            (count,) = struct.unpack_from(">I", box, 12)
            offsets = struct.unpack_from(f">{count}{form}", box, 16)
            box = box[:16] + struct.pack(f">{count}{form}", *(offset + by for offset in offsets))
        changed.append(box)
    return b"".join(changed)
